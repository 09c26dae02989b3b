"""The page of a reproduction: published beside measured, as the terminal shows it."""

from pathlib import Path

from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.reproduce.run import Reproduction
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.text import frame, notes, summary, title
from litelvlm.data.files import atomic_write


def write_reproduction(settings: Settings, found: Reproduction, path: Path) -> Path:
    """Write the page.

    Args:
        settings: What was reproduced.
        found: What came out.
        path: The HTML file; the report's `index.html` lies beside it.

    Returns:
        The path as given.
    """
    environment = page_environment()
    parts = []
    for name, lines in found.parts:
        table = frame(lines)
        parts.append(
            {
                "name": name,
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
