"""The random control."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import frame_grids, whole_frames
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
        frames: Of a clip: tokens of "any" frame are drawn, or "whole" frames, of the last of which
            an even grid stays where the budget is no whole number of frames.
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "random"
    summary: ClassVar[str] = "tokens drawn at random"

    seed: FromZero = 0
    frames: Literal["any", "whole"] = "any"

    @property
    def among_frames(self) -> bool:
        """Where it keeps whole ones."""
        return self.frames == "whole"

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Rank the tokens, or the frames, by one raw 64-bit draw each."""
        draws = np.random.Philox(np.random.SeedSequence((self.seed, cues.key))).random_raw(
            cues.frames if self.among_frames else cues.n_tokens
        )
        order = np.argsort(draws, kind="stable")
        if self.among_frames:
            counts = whole_frames(budget, order.tolist(), cues.layout)
            return RawSelection(frame_grids(counts, cues.layout))
        return RawSelection(ascending(torch.from_numpy(order[:budget])))
