"""Methods that add one token after another, each choice depending on those before."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.selection import RawSelection, Selection

ONE_BY_ONE = ("cpu",)  # kinds of device on which the images of a batch run one after another


@dataclass(frozen=True, kw_only=True)
class GreedyPruner(Pruner):
    """A method that takes one step per kept token.

    A step is a few tensor operations and never waits for the host. On a GPU the kernel launches
    cost most, so a batch takes each step for all images at once. On a CPU memory access costs most,
    so images run one after another, and the matrix of each stays in the cache.

    Attributes:
        nested: Whether a smaller budget takes the first steps of a larger one. Then budgets of one
            image share their steps.
    """

    nested: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, cues: Cues) -> tuple[Float[Tensor, "..."], ...]:
        """What the steps read of one image, in float32."""

    @abstractmethod
    def pick(self, budget: int, *prepared: Float[Tensor, "b ..."]) -> Int[Tensor, "b budget"]:
        """Tokens in order of choice, from what ``prepare`` gave for b images."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Take all steps for one image."""

        def steps() -> Int[Tensor, "k"]:
            return self.pick(budget, *(part[None] for part in self.prepare(cues)))[0]

        if not self.nested:
            return RawSelection(ascending(steps()))
        taken = cues.derived((type(self), self, "steps"), steps, lambda known: len(known) >= budget)
        return RawSelection(ascending(taken[:budget]))

    def select_batch(self, batch: Sequence[Cues], budget: int | float) -> list[Selection]:
        """Choose exactly ``budget`` tokens of each of several images, as single calls would.

        Raises:
            ValueError: As ``select``, or if the images have different numbers of tokens.
        """
        counts = {cues.n_tokens for cues in batch}
        if len(counts) > 1:
            raise ValueError(
                f"images of one batch need the same number of tokens, got {sorted(counts)}"
            )
        if not counts:
            return []
        if self.is_foreign:
            return super().select_batch(batch, budget)
        (count,) = {self.checked_budget(cues, budget) for cues in batch}
        prepared = (self.prepare(cues) for cues in batch)
        first = next(prepared)
        if first[0].device.type in ONE_BY_ONE:
            picked = [
                self.pick(count, *(part[None] for part in parts))[0]
                for parts in chain([first], prepared)
            ]
        else:
            picked = list(
                self.pick(
                    count, *(torch.stack(parts) for parts in zip(first, *prepared, strict=True))
                )
            )
        return [
            self.to_selection(RawSelection(ascending(row)), cues.n_tokens, count)
            for row, cues in zip(picked, batch, strict=True)
        ]


def farthest_points(
    distances: Float[Tensor, "b n n"], first: Int[Tensor, "b"], k: int
) -> Int[Tensor, "b k"]:
    """Farthest-point sampling: each next point has the largest distance to its nearest chosen one.

    Ties go to the lower index. O(k n) after the distances.

    Args:
        distances: Pairwise, any monotone measure, lower is nearer.
        first: Point to start from.
        k: Points to choose, in order of choice.
    """
    images = torch.arange(len(distances), device=distances.device)
    chosen = first[:, None].repeat(1, k)
    nearest = distances[images, first]
    for step in range(1, k):
        nearest[images, chosen[:, step - 1]] = float("-inf")
        chosen[:, step] = nearest.argmax(dim=1)
        nearest = torch.minimum(nearest, distances[images, chosen[:, step]])
    return chosen
