"""The page of a reproduction: published beside measured, as the terminal shows it."""

from collections.abc import Sequence
from pathlib import Path

from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.reproduce.run import ReproducedRun
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.text import frame, notes, summary, title
from litelvlm.data.files import atomic_write


def write_reproduction(settings: Settings, found: Sequence[ReproducedRun], path: Path) -> Path:
    """Write the page.

    Args:
        settings: What was reproduced.
        found: Its splits.
        path: The HTML file; the report's `index.html` lies beside it.

    Returns:
        The path as given.
    """
    environment = page_environment()
    parts = []
    for measured in found:
        table = frame(measured.lines)
        parts.append(
            {
                "name": "/".join(measured.place),
                "heads": list(table.columns),
                "rows": table.to_numpy().tolist(),
            }
        )
    page = environment.get_template("reproduction.html").render(
        title=title(settings, found),
        notes=notes(settings, found),
        parts=parts,
        reading=summary(found).splitlines(),
    )
    return atomic_write(path, page)
