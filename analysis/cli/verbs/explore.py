"""`litelvlm explore`: one offline page to look at tokens, scores, masks and text attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
      litelvlm explore runs/sweep-0123abcd --model path/to/GLaMM --data path/to/Refer_Segm
    """

    folder: tyro.conf.PositionalRequiredArgs[Path]
    """Run folder of a sweep."""
    out: Path = Path("explore.html")
    """Where to write the page."""
    samples: int = 50
    """How many expressions the page holds, spread evenly over the ranks of IoU (clips: J&F)."""
    signals: Literal["all", "clip"] = "all"
    """"clip" omits the signals of the language model: about 40 passes less per expression."""

    def files_written(self) -> Sequence[Path]:
        """The page."""
        return (self.out,)

    def run(self) -> int:
        """Write the page and print its path.

        Raises:
            ValueError: If the page would hold no expression, or the run is no sweep of these data.
        """
        from litelvlm.analysis.cli.actions.loading import data_of, model_of
        from litelvlm.analysis.pages.explore.page import build_page, read_config
        from litelvlm.figures import style

        if self.samples < 1:
            raise ValueError(
                f"--samples {self.samples} is too small; the page needs at least 1 expression"
            )
        require_writable(self.out, folder=False)
        labels = [method.label for method in read_config(self.folder).methods]
        legend = {name: (style.label(name), style.colour(name)) for name in labels}
        model, data, inside = model_of(self), data_of(self), self.signals == "all"
        page = build_page(model, data, self.folder, self.out, legend, self.samples, inside)
        self.print_found({"page": str(page)}, f"{page}\n")
        return 0
