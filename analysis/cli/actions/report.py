"""`litelvlm report`: draw the figures of runs, and write the page that shows them."""

from collections.abc import Sequence
from pathlib import Path

from litelvlm.analysis.pages.report.page import build_report
from litelvlm.analysis.pages.report.tables import folder_names
from litelvlm.analysis.runs.folder import read_record
from litelvlm.figures.files import write_figures


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Draw the figures of the runs and write the page that shows them.

    Returns:
        Path of `index.html`.
    """
    finished = [run for run in runs if read_record(run).complete]
    names = folder_names(runs)
    pictures = {
        run: write_figures("all", [run], out / "figures" / names[run], partial=True)
        for run in finished
    }
    return build_report(runs, out, pictures)
