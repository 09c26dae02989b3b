"""What a method returns: the tokens it chose, then the visual tokens the language model gets."""

from dataclasses import dataclass
from typing import TypeGuard

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.budgets import check_budget
from litelvlm.pruning.positions import Order, Positions, output_order, sequence_positions
from litelvlm.pruning.ranking import ascending


@dataclass(frozen=True, eq=False)
class RawSelection:
    """The tokens that a method chose, in its own order, before output order and positions are set.

    Attributes:
        indices: Raster indices, -1 for synthetic tokens.
        places: Raster index each token stands for; None when every token is a kept one.
        tokens: Merged tokens; None when every output token is a plain row of the patch tokens.
        source: Merge weights that made ``tokens`` from the patch tokens.
        roles: One word per token.
        sizes: Patches that the language model's attention should count each token for; None leaves
            it alone.
    """

    indices: Int[Tensor, "r"]
    places: Int[Tensor, "r"] | None = None
    tokens: Float[Tensor, "r d"] | None = None
    source: Float[Tensor, "r n"] | None = None
    roles: tuple[str, ...] | None = None
    sizes: Float[Tensor, "r"] | None = None

    @classmethod
    def with_two_roles(
        cls, indices: Int[Tensor, "r"], n_first: int, first: str, second: str = ""
    ) -> "RawSelection":
        """Tokens in raster order; the first ``n_first`` given have one role, the others another."""
        kept = ascending(indices)
        is_first = torch.isin(kept, indices[:n_first]).tolist()
        return cls(kept, roles=tuple(first if flag else second for flag in is_first))

    def problem(self, n_tokens: int, count: int | None, synthetic: bool) -> str:
        """What no choice among the tokens can be, in words; empty if nothing is wrong.

        Args:
            n_tokens: Tokens before pruning.
            count: Tokens that must be there; None for any number.
            synthetic: Whether some may be made of several, with index -1.
        """
        indices, lowest = self.indices, -1 if synthetic else 0
        for what, values in (("indices", indices), ("places", self.stands_for)):
            if not is_line(values):
                return f"returned {what} that are no line of whole numbers (int64): {values!r}"
        n = len(indices)
        if n == 0 or n != (count or n):
            return f"returned {n} tokens where {count or 'some'} were asked for"
        parts = (self.stands_for, self.tokens, self.source, self.roles, self.sizes)
        lengths = [len(part) for part in parts if part is not None]
        if any(length != n for length in lengths):
            return f"returned {n} indices, and other parts of the lengths {lengths}"
        for what, values, least in (("indices", indices, lowest), ("places", self.stands_for, 0)):
            if int(values.min()) < least or int(values.max()) >= n_tokens:
                return f"returned {what} outside {least} to {n_tokens - 1}: {values.tolist()}"
        kept = indices[indices >= 0]
        if len(torch.unique(kept)) < len(kept):
            return f"returned an index twice: {indices.tolist()}"
        if (self.tokens is None) != (self.source is None) or (kept.numel() < n and not synthetic):
            return "returned merged tokens without the weights that made them"
        for made, axes in ((self.tokens, 2), (self.source, 2), (self.sizes, 1)):
            if made is None:
                continue
            if not is_plain(made, axes) or not made.is_floating_point():
                return f"returned merged tokens that are no tensor of real numbers: {made!r}"
            if not bool(torch.isfinite(made).all()):
                return "returned numbers that are not finite"
        if self.source is not None and self.source.shape[1] != n_tokens:
            return f"returned weights of {self.source.shape[1]} tokens where {n_tokens} are"
        if self.sizes is not None and not bool((self.sizes > 0).all()):
            return "returned sizes that are not above 0"
        if self.roles is not None and not all(isinstance(role, str) for role in self.roles):
            return f"returned roles that are no words: {self.roles!r}"
        return ""

    @property
    def stands_for(self) -> Int[Tensor, "r"]:
        """Raster index each token stands for: ``places``, or ``indices`` where none are given."""
        return self.indices if self.places is None else self.places


def is_plain(value: object, axes: int) -> TypeGuard[Tensor]:
    """Whether it is a tensor with so many axes, whose numbers are there."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.ndim == axes and not value.is_meta


def is_line(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor of whole numbers with one axis."""
    return is_plain(value, 1) and value.dtype == torch.int64


@dataclass(frozen=True, eq=False)
class Selection:
    """The visual tokens the language model gets.

    Attributes:
        indices: Kept raster indices in output order. A merged token has the index of its
            destination, a synthetic one (CLS, a mean of what was dropped, a pooled cell) has -1.
        n_tokens: Tokens before pruning.
        positions: Position of each output token relative to the first visual one, [axes, R]: one
            axis for rotary positions, three for multimodal ones (mRoPE). Every method gives one.
        span: Positions that the image block takes up; the text starts after them.
        tokens: Output tokens, in the language model's input space at stage "post_projector", else
            in that of the patch tokens; None when they are plain rows of them.
        source: Merge weights; ``source @ patch_tokens`` (``source @ projected`` after the
            projector) is ``tokens``, except for the row of role "cls", which is zero because CLS is
            no mixture of patches. At stage "vit" blocks follow the merges, so the weights tell the
            members of a token but do not reproduce it.
        roles: Why each token is there ("similarity", "context", "merged", "cls" ...); None when all
            are plainly kept.
        sizes: Patches that the language model's attention counts each token for (see
            ``litelvlm.models.glamm.language.decoding``); None leaves the attention as it is.
        stage: Stage of the method.
    """

    indices: Int[Tensor, "r"]
    n_tokens: int
    positions: Int[Tensor, "axes r"]
    span: int
    tokens: Float[Tensor, "r d"] | None = None
    source: Float[Tensor, "r n"] | None = None
    roles: tuple[str, ...] | None = None
    sizes: Float[Tensor, "r"] | None = None
    stage: str = "pre_projector"

    @classmethod
    def from_raw(
        cls,
        raw: RawSelection,
        n_tokens: int,
        order: Order = "native",
        positions: Positions = "contiguous",
        stage: str = "pre_projector",
    ) -> "Selection":
        """Set output order and positions (see ``litelvlm.pruning.positions``)."""
        permutation = output_order(raw.stands_for, order)
        offsets, span = sequence_positions(raw.stands_for[permutation], n_tokens, positions)
        roles = raw.roles
        return cls(
            indices=raw.indices[permutation],
            n_tokens=n_tokens,
            positions=offsets,
            span=span,
            tokens=None if raw.tokens is None else raw.tokens[permutation],
            source=None if raw.source is None else raw.source[permutation],
            roles=None if roles is None else tuple(roles[i] for i in permutation.tolist()),
            sizes=None if raw.sizes is None else raw.sizes[permutation],
            stage=stage,
        )

    @classmethod
    def from_indices(
        cls,
        indices: Int[Tensor, "r"],
        n_tokens: int,
        order: Order = "native",
        positions: Positions = "contiguous",
    ) -> "Selection":
        """Selection of given tokens, for studies that choose them by other means than a method.

        Raises:
            ValueError: If there is none, one is out of range, or one occurs twice.

        Example:
            >>> chosen = Selection.from_indices(torch.tensor([7, 2]), 9, positions="original")
            >>> chosen.positions.tolist()
            [[7, 2]]
        """
        check_budget(len(indices), n_tokens)
        if (
            int(indices.min()) < 0
            or int(indices.max()) >= n_tokens
            or len(torch.unique(indices)) != len(indices)
        ):
            raise ValueError(
                f"indices must be different whole numbers from 0 to {n_tokens - 1}, "
                f"got {indices.tolist()}"
            )
        return cls.from_raw(RawSelection(indices), n_tokens, order, positions)

    def __len__(self) -> int:
        """Tokens the language model gets."""
        return len(self.indices)
