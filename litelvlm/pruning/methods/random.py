"""The random control."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.options import FromZero
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class Random(Pruner):
    """Keeps tokens drawn without replacement; the null of every accuracy table.

    The draw depends on the seed and the image's key only: it is the same on every machine and
    library version (NumPy promises the raw stream of Philox, not the output of its shuffles), and a
    smaller budget keeps a subset of a larger one. Report mean and spread over five seeds or more.
    Cost: N draws.

    Attributes:
        seed: 0 or above.
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "random"
    summary: ClassVar[str] = "tokens drawn at random"

    seed: FromZero = 0

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Rank the tokens by one raw 64-bit draw each."""
        draws = np.random.Philox(np.random.SeedSequence((self.seed, cues.key))).random_raw(
            cues.n_tokens
        )
        order = np.argsort(draws, kind="stable")[:budget]
        return RawSelection(ascending(torch.from_numpy(order)))
