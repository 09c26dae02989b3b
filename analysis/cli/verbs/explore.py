"""`litelvlm explore`: one offline page to look at tokens, scores, masks and text attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from litelvlm.analysis.cli.options import DataOptions, Printing, require_writable


@dataclass(frozen=True, kw_only=True)
class Explore(DataOptions, Printing):
    """Write a page to explore a finished sweep: kept tokens, masks, scores and text attention.

    The page opens from disk without a network. Model and data must be those of the run.

    Examples:
      litelvlm explore runs/sweep-0123abcd --out page.html
      litelvlm explore runs/sweep-0123abcd --beside runs/sweep-4567cdef
      litelvlm explore runs/sweep-0123abcd --beside runs/sweep-89abcdef --beside-model other/GLaMM
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

    beside: Path | None = None
    """Run folder of another sweep to compare with: of another commit, configuration or model."""
    beside_model: str | None = None
    """Model of the other sweep, if it is another one."""
    beside_data: str | None = None
    """Data of the other sweep, if they are others: a folder, or the name of bundled data."""

    def run(self) -> int:
        """Write the page and print its path."""
        from litelvlm.analysis.cli.actions.loading import data_of, model_of
        from litelvlm.analysis.pages.explore.page import (
            ExplorerSource,
            LegendEntry,
            build_page,
            read_config,
        )
        from litelvlm.figures import style

        if self.samples < 1:
            raise ValueError(
                f"--samples {self.samples} is too small; the page needs at least 1 expression"
            )
        if self.beside is None and (self.beside_model or self.beside_data):
            raise ValueError(
                "--beside-model and --beside-data describe the run of --beside; add it"
            )
        require_writable(self.out, folder=False)
        runs = [self.folder, *([self.beside] if self.beside else [])]
        labels = dict.fromkeys(m.label for run in runs for m in read_config(run).methods)
        legend = {name: LegendEntry(style.label(name), style.colour(name)) for name in labels}
        model, data, other = model_of(self), data_of(self), None
        if self.beside is not None:
            there = replace(
                self, model=self.beside_model or self.model, data=self.beside_data or self.data
            )
            other = ExplorerSource(
                model_of(there) if self.beside_model else model,
                data_of(there) if self.beside_data else data,
                self.beside,
            )
        page = build_page(
            model,
            data,
            self.folder,
            self.out,
            legend,
            self.samples,
            inside=self.signals == "all",
            beside=other,
        )
        self.print_found({"page": str(page)}, f"{page}\n")
        return 0
