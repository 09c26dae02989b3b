"""One row of a batch on its way through the layers, and which of its tokens are left."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.models.vlm.decoder.view import Decoder, DecoderView
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.layers.raters import text_raters
from litelvlm.pruning.positions import sequence_positions


@dataclass(eq=False)
class ImageRow:
    """One image of a row.

    Attributes:
        plan: What to drop.
        columns: Columns of its tokens in the prompt that enters the decoder.
        schedule: Visual tokens of each layer.
        left: Those of them that are left, as numbers into ``columns``.
        queries: Columns of the tokens whose attention ranks the visual ones.
        scored: The row as it entered the layer before, if the method reads that.
        counts: Visual tokens that each layer processed so far.
    """

    plan: LayerPlan
    columns: Int[Tensor, "n"]
    schedule: tuple[int, ...]
    left: Int[Tensor, "r"] = field(init=False)
    queries: Int[Tensor, "q"] = field(init=False)
    scored: DecoderView | None = None
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin(self.columns[:0])

    def begin(self, queries: Int[Tensor, "q"]) -> None:
        """Every token is left, and these columns rank them."""
        self.left = torch.arange(len(self.columns), device=self.columns.device)
        self.queries, self.scored, self.counts = queries, None, []

    def drops_before(self, layer: int) -> bool:
        """Whether a layer exists and processes fewer tokens than are left."""
        return layer < len(self.schedule) and self.schedule[layer] < len(self.left)

    def view(
        self,
        decoder: Decoder,
        layer: int,
        states: Float[Tensor, "s d"],
        rotary: tuple[Tensor, Tensor],
        columns: Int[Tensor, "s"],
    ) -> DecoderView:
        """The row at a layer, with this image's tokens as the visual ones.

        Args:
            decoder: The language model.
            layer: The layer.
            states: States of the row without padding.
            rotary: Cosine and sine of its positions.
            columns: Columns of the prompt that these states belong to, ascending.
        """
        start = int(torch.searchsorted(columns, self.columns[self.left[0]]))
        image = slice(start, start + len(self.left))
        queries = torch.searchsorted(columns, self.queries)
        return DecoderView(decoder, layer, states, rotary, image, queries)

    def drop(self, view: DecoderView, count: int) -> None:
        """Leave ``count`` tokens.

        Raises:
            ValueError: If the method merges tokens.
        """
        result = self.plan.pruner.reduce(self.scored or view, view, count)
        if result.weights is not None:
            raise ValueError(
                f"{self.plan.pruner.name} merges tokens between the layers, which prune() does "
                "not do; take 'sparsevlm_plus', or a method that drops them"
            )
        self.left = self.left[result.places.to(self.left.device)]

    def position_columns(self) -> Int[Tensor, "r"]:
        """Columns whose positions the tokens left take."""
        if self.plan.pruner.positions != "stretch":
            return self.columns[self.left]
        spread = sequence_positions(self.left, len(self.columns), "stretch")[0][0]
        return self.columns[spread]


def query_columns(
    which: str, image: Int[Tensor, "n"], real: Int[Tensor, "m"], states: Float[Tensor, "s d"]
) -> Int[Tensor, "q"]:
    """Columns of the query tokens of one row.

    Args:
        which: A ``QueryToken``; "last" and "last_prompt" are both the end of the prompt.
        image: Columns of the image.
        real: Columns of the row that are no padding.
        states: Embeddings of the whole row, for the raters.

    Raises:
        ValueError: If the family has no such token.
    """
    behind = real[real > image[-1]]
    if not len(behind) or which == "seg":
        raise ValueError(
            f"query_token {which!r} does not follow the image in this prompt; put the "
            "question after the image and take query_token='last_prompt'"
        )
    if which == "raters":
        return behind[text_raters(states[image], states[behind])]
    return behind if which == "mean_text" else behind[-1:]
