"""`litelvlm explore`: one offline page to look at tokens, scores, masks and text attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from litelvlm.analysis.cli.options import DataOptions, Printing


@dataclass(frozen=True, kw_only=True)
class Explore(DataOptions, Printing):
    """Write a page to explore a finished sweep: kept tokens, masks, scores and text attention.

    The page opens from disk without a network. Model and data must be those of the run.

    Examples:
      litelvlm explore runs/sweep-0123abcd --out page.html
      litelvlm explore runs/sweep-0123abcd --model path/to/GLaMM --data path/to/Refer_Segm
    """

    folder: tyro.conf.PositionalRequiredArgs[Path]
    """Run folder of a sweep."""
    out: Path = Path("explore.html")
    """Where to write the page."""
    samples: int = 50
    """How many expressions the page holds, spread evenly over the ranks of IoU."""
    signals: Literal["all", "clip"] = "all"
    """"clip" omits the signals of the language model: about 40 passes less per expression."""

    def files_written(self) -> Sequence[Path]:
        """The page."""
        return (self.out,)
