"""Files of one split that may be copies of each other, so that their rows would count twice."""

from collections.abc import Sequence
from filecmp import cmp
from pathlib import Path

from litelvlm.data.safe.rasterise import RefDataError


def refuse_copies(files: Sequence[Path]) -> None:
    """Refuse files of one split that lie in two folders, or of which two have the same content.

    Raises:
        RefDataError: Naming two of them.
    """
    of_size: dict[int, list[Path]] = {}
    for path in files:
        if path.parent != files[0].parent:
            raise RefDataError(
                f"{files[0]} and {path} hold the same split in two folders, and rows that stand in "
                "both would count twice; name the folder or file to read, or remove one of them"
            )
        alike = of_size.setdefault(path.stat().st_size, [])
        for other in alike:
            if cmp(other, path, shallow=False):
                raise RefDataError(
                    f"{other} and {path} have the same content, and every row would count twice; "
                    "remove one of them"
                )
        alike.append(path)
