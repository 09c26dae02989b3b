"""What SparseVLM and SparseVLM+ share: the drops, their counts and the ranking by text raters."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import ClassVar, Literal

from scipy.optimize import brentq

from litelvlm.pruning.layers.base import LayerScorePruner, QueryToken
from litelvlm.pruning.layers.drops import MATCHED, SeveralDrops

# Tokens left by a drop per token left by the one before: released counts for an average of 192 are
# 300, 200 and 110.
FALL_RATIO = 0.6


@dataclass(frozen=True, kw_only=True)
class RatedDrops(SeveralDrops, LayerScorePruner):
    """A method in which text raters rank the visual tokens, at the layer before each drop.

    A budget of T is the average over the layers. The first drop leaves as many tokens as T affords,
    every later one leaves 0.6 of the tokens, as released counts roughly do, and the first one gets
    what rounding leaves over. The paper, and the first release, keep a multiple of the rank of the
    rater-to-image attention instead; that count depends on the image and meets no budget.

    Attributes:
        released: Counts of the released code for 576 tokens and 32 layers, by nominal budget.
        counts: "budget": the counts above. "released": the released ones. Their nominal budgets
            count the tokens that leave each layer; layers process about 15 more on average.
    """

    look_back: ClassVar[int] = 1
    text_guided: ClassVar[bool] = True
    # Scored at layers 2, 6 and 15, whose outputs lack the dropped tokens.
    published: ClassVar[tuple[int, ...]] = (3, 7, 16)
    earlier: ClassVar[tuple[tuple[int, ...], ...]] = ((1, 5, 9),)
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "released": {"counts": "released"},
        "matched": MATCHED,
    }
    released: ClassVar[Mapping[int, tuple[int, ...]]]

    query_token: QueryToken = "raters"  # noqa: S105 - a place in the text, no credential
    counts: Literal["budget", "released"] = "budget"

    @abstractmethod
    def after_drop(self, n_kept: int, n_tokens: int) -> int:
        """Tokens a drop leaves in all when it keeps ``n_kept`` of them as they are."""

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Tokens that each drop leaves, those made of several included."""
        if self.counts == "released":
            return self._released_counts(budget, n_tokens, n_layers)
        edges = (*self.drop_layers(n_layers), n_layers)
        widths = [after - before for before, after in pairwise(edges)]
        left = n_layers * budget - n_tokens * edges[0]
        return falling_counts(left, n_tokens, widths)

    def min_kept(self, n_tokens: int) -> int:
        """One kept token, and those that are made of the others."""
        return self.after_drop(1, n_tokens)

    def _released_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        if (n_tokens, n_layers, self.layers) != (576, 32, None) or budget not in self.released:
            raise ValueError(
                f"{self.name} has released counts for 576 tokens, 32 layers, its own layers and a "
                f"budget of {', '.join(map(str, self.released))}, not for {n_tokens} tokens, "
                f"{n_layers} layers, layers={self.layers} and a budget of {budget}; "
                "take counts='budget'"
            )
        counts = [n_tokens]
        for kept in self.released[budget]:
            counts.append(self.after_drop(kept, counts[-1]))
        return tuple(counts[1:])


def falling_counts(left: int, n_tokens: int, widths: list[int]) -> tuple[int, ...]:
    """Counts that fall by ``FALL_RATIO`` from run to run and sum to ``left`` over all layers.

    Args:
        left: Tokens to share out, summed over the layers.
        n_tokens: Most tokens a run may have.
        widths: Layers of each run.

    Returns:
        Counts, rounded down; what is left over then goes to the earliest runs that can take it.

    Example:
        >>> falling_counts(48, 144, [1, 2])
        (22, 13)
    """
    if left <= 0:
        return (0,) * len(widths)

    def shares(first: float) -> list[float]:
        return [min(float(n_tokens), first * FALL_RATIO**run) for run in range(len(widths))]

    def excess(first: float) -> float:
        return sum(width * share for width, share in zip(widths, shares(first), strict=True)) - left

    most = n_tokens / FALL_RATIO ** (len(widths) - 1)
    first = float(brentq(excess, 0.0, most, xtol=1e-12))
    # The root is found to 1e-12, so a whole count may come out just below itself.
    counts = [floor(share + 1e-9) for share in shares(first)]
    unspent = left - sum(width * count for width, count in zip(widths, counts, strict=True))
    ceiling = n_tokens
    for run, width in enumerate(widths):
        more = min(unspent // width, ceiling - counts[run])
        counts[run] += more
        unspent -= more * width
        ceiling = counts[run]
    return tuple(counts)
