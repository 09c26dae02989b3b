"""What importance studies read off an unpruned model that answers about one image.

A family implements ``TokenQuery`` and ``TokenTargets``; signals, rankings and curves are computed
from these two alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig

from litelvlm.layout import Layout
from litelvlm.models.view import ImageView
from litelvlm.names import check_name
from litelvlm.pruning import Cues

REMOVALS = ("drop", "mean", "mask")
QueryToken = Literal["answer", "last_prompt"]
"""Text tokens whose attention to the visual tokens is read."""

# Memory that a batch may keep for a backward pass. It fits beside the 17 GB of a 7B model in
# bfloat16 on a 24 GB GPU.
_ROW_MEMORY_BYTES = 2**32


class Flow(NamedTuple):
    """What the answer takes from each visual token, float32; layers run from input to output.

    Attributes:
        norm_rows: Per head ``A_qj |f_h(x_j)|``, where f_h is the value and output projection.
        norm_layers: Per layer ``|sum_h A_qj f_h(x_j)|``.
        gradient_rows: Per head ``relu(gradient_qj A_qj)``, with the gradient of the target by the
            weight.
        rollout: Attention rollout, head means, with the residual stream as half an identity.
        norm_rollout: The same with value-weighted attention, rows scaled to sum 1.
        relevance: ``R += mean_h(relu(gradient * A)) R`` from the identity.
    """

    norm_rows: Float[Tensor, "layers heads n"]
    norm_layers: Float[Tensor, "layers n"]
    gradient_rows: Float[Tensor, "layers heads n"]
    rollout: Float[Tensor, "n"]
    norm_rollout: Float[Tensor, "n"]
    relevance: Float[Tensor, "n"]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Turn gradients on, but for no weight; every ``requires_grad`` is restored, also on errors."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision widened to float32; float64 stays, for checks of gradients."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class TokenTargets(ABC):
    """Scalars of one unpruned answer, as functions of the projected visual tokens.

    Attributes:
        names: Names of the scalars, in the order of columns.
        main: Column of the scalar that claims are about.
        visual: Projected visual tokens, the point at which the targets are usually taken.
        start: Index of the first visual token in the sequence; they stand side by side.
        length: Tokens of the unpruned sequence.
        empty: Whether the answer is a stand-in for an empty one.
    """

    names: ClassVar[tuple[str, ...]]
    main: ClassVar[int]
    visual: Float[Tensor, "n d"]
    start: int
    length: int
    empty: bool

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """Everything with weights between the visual tokens and the targets."""

    @property
    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""

    @property
    @abstractmethod
    def config(self) -> PreTrainedConfig:
        """Sizes of the language model."""

    @property
    def batch_size(self) -> int:
        """Rows whose backward pass fits into 4 GiB, at least one."""
        config, itemsize = self.config, self.visual.element_size()
        states = 10 * int(config.hidden_size) + 4 * int(config.intermediate_size)
        row = self.length * int(config.num_hidden_layers) * states * itemsize
        return max(1, _ROW_MEMORY_BYTES // row)

    @property
    def n_tokens(self) -> int:
        """Visual tokens."""
        return len(self.visual)

    @abstractmethod
    def __call__(self, visual: Float[Tensor, "b n d"]) -> Float[Tensor, "b t"]:
        """Targets for these visual tokens, in the order of ``names``; differentiable.

        At least float32.
        """

    @abstractmethod
    def of_kept(self, kept: Bool[Tensor, "b n"]) -> Float[Tensor, "b t"]:
        """``keeping`` for rows that keep equally many, at once."""

    @abstractmethod
    def of_hidden(self, hidden: Bool[Tensor, "b n"]) -> Float[Tensor, "b t"]:
        """``hiding``, all rows at once."""

    def places(self, kept: Bool[Tensor, "b n"]) -> Bool[Tensor, "b s"]:
        """Tokens of the sequence that stay: all text and the kept visual ones."""
        device = self.visual.device
        places = torch.ones(len(kept), self.length, dtype=torch.bool, device=device)
        places[:, self.start : self.start + self.n_tokens] = kept.to(device)
        return places

    @torch.no_grad()
    def keeping(
        self, kept: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b t"]:
        """Targets when only some visual tokens reach the language model.

        Args:
            kept: Tokens that stay, row by row; a row may keep none.
            batch_size: Rows at once; ``self.batch_size`` if left out.
        """
        dtype = torch.promote_types(self.visual.dtype, torch.float32)
        values = torch.empty(len(kept), len(self.names), dtype=dtype, device=self.visual.device)
        counts = kept.sum(1)
        for count in counts.unique().tolist():
            for rows in torch.nonzero(counts == count)[:, 0].split(batch_size or self.batch_size):
                values[rows] = self.of_kept(kept[rows])
        return values

    @torch.no_grad()
    def hiding(
        self, hidden: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b t"]:
        """Targets when some visual tokens stay but no other token may attend to them."""
        rows = hidden.split(batch_size or self.batch_size)
        return torch.cat([self.of_hidden(part) for part in rows])

    @torch.no_grad()
    def replacing(
        self,
        replaced: Bool[Tensor, "b n"],
        token: Float[Tensor, "d"],
        batch_size: int | None = None,
    ) -> Float[Tensor, "b t"]:
        """Targets when some visual tokens are replaced by another one."""
        values = []
        for rows in replaced.split(batch_size or self.batch_size):
            values.append(self(torch.where(rows[..., None].to(token.device), token, self.visual)))
        return torch.cat(values)


class TokenQuery(ABC):
    """One question about one image, asked of the unpruned model.

    Attributes:
        batch_size: Rows of the language model at once; None for as many as are safe.
    """

    batch_size: int | None

    @property
    @abstractmethod
    def similarity(self) -> Literal["clip", "input"]:
        """What compares visual tokens with the text.

        Both towers of CLIP, or the language model's input space, where there is no text tower.
        """

    @property
    @abstractmethod
    def view(self) -> ImageView:
        """Where the visual tokens lie."""

    @property
    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""

    @property
    @abstractmethod
    def initializer_range(self) -> float:
        """Standard deviation that its matrices are drawn with before training."""

    @abstractmethod
    def cues(self, coverage: Float[Tensor, "*n"] | None = None) -> Cues:
        """What a method may read, computed when read.

        Args:
            coverage: Share of each token's patch that the true mask covers.
        """

    @abstractmethod
    def targets(self) -> TokenTargets:
        """Scalars of the model's answer, as functions of the visual tokens."""

    @abstractmethod
    def attention_rows(self, query: QueryToken = "answer") -> Float[Tensor, "layers heads n"]:
        """Attention of one text token to the visual tokens, in every layer and head, float32.

        Args:
            query: "answer": the tokens whose states predict the answer, mean over them;
                "last_prompt": the last token before the answer.
        """

    @abstractmethod
    def flow(self, targets: TokenTargets) -> Flow | None:
        """What flows through the layers for the main target; None where no family reads it."""

    @abstractmethod
    def reworded(self, question_index: int) -> "TokenQuery":
        """The same expression in another question template."""


def block_groups(layout: Layout, blocks: int) -> Int[Tensor, "n"]:
    """The block of each token, in raster order; each side of a frame has ``blocks`` blocks.

    Raises:
        ValueError: If a side has fewer tokens than blocks.

    Example:
        >>> block_groups(Layout(1, 2, 4), 2).tolist()
        [0, 0, 1, 1, 2, 2, 3, 3]
    """
    shorter = min(layout.grid)
    if not 1 <= blocks <= shorter:
        raise ValueError(
            f"blocks must be between 1 and {shorter}, the shorter side of the grid, got {blocks}"
        )
    row, column = (torch.arange(side) * blocks // side for side in layout.grid)
    frame = torch.arange(layout.frames) * blocks
    return ((frame[:, None, None] + row[:, None]) * blocks + column).flatten()


def leave_one_out(
    targets: TokenTargets,
    groups: Int[Tensor, "n"],
    removal: str = "drop",
    batch_size: int | None = None,
) -> Float[Tensor, "g t"]:
    """Fall of every target when one group of tokens is removed.

    Args:
        targets: Of one answer.
        groups: Group of each token, from 0.
        removal: "drop" leaves the tokens out; "mean" replaces each by the image's mean token;
            "mask" keeps them, but no other token may attend to them.
        batch_size: Rows at once.

    Raises:
        ValueError: If the removal is unknown.
    """
    check_name(removal, REMOVALS, "removal")
    every = torch.arange(int(groups.max()) + 1, device=groups.device)
    removed = groups == every[:, None]
    whole = torch.ones(1, targets.n_tokens, dtype=torch.bool, device=groups.device)
    if removal == "drop":
        without = targets.keeping(~removed, batch_size)
    elif removal == "mean":
        without = targets.replacing(removed, targets.visual.mean(0), batch_size)
    else:
        without = targets.hiding(removed, batch_size)
    return targets.keeping(whole) - without
