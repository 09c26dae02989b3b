"""One image on its way through the layers of a transformers model, as columns of its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from litelvlm.models.vlm_base.layer_view import Decoder, DecoderView
from litelvlm.models.vlm_base.positions import closed_up
from litelvlm.pruning.layers.base import LayerPlan, LayerView
from litelvlm.pruning.layers.state import DropState, text_raters
from litelvlm.pruning.positions import sequence_positions


@dataclass(kw_only=True, eq=False)
class ImageState(DropState):
    """One image of a row; its queries are columns.

    Attributes:
        row: The row of the batch.
        columns: Columns of its tokens in the prompt that enters the language model.
    """

    row: int
    columns: Int[Tensor, "n"]

    @classmethod
    def of(cls, row: int, columns: Int[Tensor, "n"], plan: LayerPlan, depth: int) -> "ImageState":
        """Every token is left.

        Raises:
            ValueError: If the budget is impossible in a model of so many layers.
        """
        everything = torch.arange(len(columns), device=columns.device)
        return cls(
            plan=plan,
            schedule=plan.pruner.schedule(plan.budget, plan.n_tokens, depth),
            image=everything,
            places=everything,
            queries=columns[:0],
            row=row,
            columns=columns,
        )

    @property
    def left(self) -> Int[Tensor, "r"]:
        """Columns of the tokens that are left."""
        return self.columns[self.image]

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
        start = int(torch.searchsorted(columns, self.left[0]))
        image = slice(start, start + len(self.image))
        queries = torch.searchsorted(columns, self.queries)
        return DecoderView(decoder, layer, states, rotary, image, queries)

    def drop(self, index: int, view: LayerView) -> Float[Tensor, "r d"]:
        """As of every ``DropState``.

        Raises:
            ValueError: If the method merges tokens.
        """
        tokens = super().drop(index, view)
        if self.source is not None:
            raise ValueError(
                f"{self.plan.pruner.name} merges tokens between the layers, which prune() does "
                "not do; take 'sparsevlm_plus', or a method that drops them"
            )
        return tokens

    def position_columns(self) -> Int[Tensor, "r"]:
        """Columns whose positions the tokens left take."""
        if self.plan.pruner.positions != "stretch":
            return self.left
        spread = sequence_positions(self.image, len(self.columns), "stretch")[0][0]
        return self.columns[spread]


def query_columns(
    which: str, image: Int[Tensor, "n"], text: Int[Tensor, "m"], states: Float[Tensor, "s d"]
) -> Int[Tensor, "q"]:
    """Columns of the query tokens of one row.

    Args:
        which: A ``QueryToken``; "last" and "last_prompt" are both the end of the prompt.
        image: Columns of the image.
        text: Columns of the row that hold text: neither padding nor tokens of any image.
        states: Embeddings of the whole row, for the raters.

    Raises:
        ValueError: If the family has no such token, or no text follows the image.
    """
    if which == "seg":
        raise ValueError(
            "query_token 'seg' is a token of grounding models, which this model has not; take "
            "query_token='last_prompt'"
        )
    behind = text[text > image[-1]]
    if not len(behind):
        raise ValueError(
            f"no text follows the image in this prompt, so no token ranks it (query_token "
            f"{which!r}); put the question after the image"
        )
    if which == "raters":
        return behind[text_raters(states[image], states[behind])]
    return behind if which == "mean_text" else behind[-1:]


def numbered(
    positions: Int[Tensor, "axes b s"],
    mask: Bool[Tensor, "b s"],
    columns: Int[Tensor, "b w"],
    images: Sequence[ImageState],
) -> Int[Tensor, "axes b w"]:
    """Positions of the columns that are left, by the policy of each image's method.

    Args:
        positions: Of the prompt.
        mask: Where the prompt has tokens.
        columns: Columns that are left; -1 for added padding, which stands at 0.
        images: State of each image.
    """
    found = []
    for row, left in enumerate(columns):
        own = sorted((i for i in images if i.row == row), key=lambda i: int(i.columns[0]))
        moved, taken = positions[:, row], torch.arange(mask.shape[1], device=columns.device)
        if any(image.plan.pruner.positions == "contiguous" for image in own):
            moved = closed_up(moved, [(i.columns, i.left) for i in own])
        else:
            for image in own:
                taken[image.left] = image.position_columns()
        found.append(moved[:, taken[left.clamp(min=0)]].masked_fill(left < 0, 0))
    return torch.stack(found, dim=1)
