"""Which names are hub ids. Any other name is a path or a mistake and needs no network."""

import re
from pathlib import Path

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def is_hub_id(name: str | Path) -> bool:
    """Whether a name can only be meant as a hub id "owner/name".

    These are paths: a `Path`, a name that begins with ".", "/" or "~", one with more than one
    slash, and one whose first part exists on this disk. So a mistyped `data/refcoco` is a missing
    folder, never a download.

    Example:
        >>> is_hub_id("openai/clip"), is_hub_id("./openai/clip"), is_hub_id(Path("openai/clip"))
        (True, False, False)
    """
    return (
        isinstance(name, str)
        and re.fullmatch(f"{_PART}/{_PART}", name) is not None
        and not Path(name).parent.exists()
    )
