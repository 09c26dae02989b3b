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

    A step is a few tensor operations and never waits for the host: indices stay one-dimensional
    tensors, since one without dimensions would be read on the host.

    Attributes:
        nested: Whether a smaller budget takes the first steps of a larger one. Then budgets of one
            image share their steps.
    """

    nested: ClassVar[bool] = False

    @abstractmethod
    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Tokens in order of choice."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Take the steps, unless a budget at least as large took them before."""
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
    chosen = [first.reshape(1)]
    nearest = distances.index_select(0, chosen[0])[0]
    for _ in range(1, k):
        nearest = nearest.index_fill(0, chosen[-1], float("-inf"))
        chosen.append(nearest.argmax(0, keepdim=True))
        nearest = torch.minimum(nearest, distances.index_select(0, chosen[-1])[0])
    return torch.cat(chosen)
