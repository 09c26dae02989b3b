"""Methods that add one token after another, each choice depending on those before."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class GreedyPruner(Pruner):
    """A method that takes one step per kept token.

    A step is a few tensor operations and never waits for the host.

    Attributes:
        nested: Whether a smaller budget takes the first steps of a larger one. Then budgets of one
            image share their steps.
    """

    nested: ClassVar[bool] = False

    @abstractmethod
    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Tokens in order of choice."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Take the steps, or those that are missing."""
        take = partial(self.steps, cues, budget)
        if not self.nested:
            return RawSelection(ascending(take()))
        taken = cues.derived((type(self), self, "steps"), take, lambda known: len(known) >= budget)
        return RawSelection(ascending(taken[:budget]))


def farthest_points(
    distances: Float[Tensor, "n n"], first: Int[Tensor, ""], k: int
) -> Int[Tensor, "k"]:
    """Farthest-point sampling: each next point has the largest distance to its nearest chosen one.

    Ties go to the lower index. O(k n) after the distances.

    Args:
        distances: Pairwise, any monotone measure, lower is nearer.
        first: Point to start from.
        k: Points to choose, in order of choice.
    """
    chosen = first.repeat(k)
    nearest = distances[first].clone()
    for step in range(1, k):
        nearest[chosen[step - 1]] = float("-inf")
        chosen[step] = nearest.argmax()
        nearest = torch.minimum(nearest, distances[chosen[step]])
    return chosen
