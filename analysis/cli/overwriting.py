"""No verb writes over what it reads."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from litelvlm.analysis.cli.options import Common

WRITTEN = frozenset({"out", "card", "numbers", "figures", "report", "target", "cache"})
"""Options that name what a verb writes; the paths of all others are read."""
READ = frozenset({"model", "data", "clip"})
"""Options whose texts may name a folder that is read."""
PAGES = (".html",)
"""What a verb may write again into a folder that it reads."""


def refuse_overwriting(verb: Common) -> None:
    """Refuse a place for output that holds what the verb reads, by any name of it.

    Raises:
        ValueError: Naming both.
    """
    for place in verb.files_written():
        for path in _read(verb):
            inside = path.is_dir() and place.resolve().is_relative_to(path.resolve())
            if place.is_file() and (
                (path.is_file() and place.samefile(path))
                or (inside and place.suffix.lower() not in PAGES)
            ):
                raise ValueError(
                    f"{place} would be written over, and the command reads it"
                    f"{f' in {path}' if inside else ''}; name another place to write"
                )


def _read(verb: Common) -> Iterator[Path]:
    """Files and folders that the options name and the verb reads."""
    for entry in fields(verb):
        value = getattr(verb, entry.name)
        for one in value if isinstance(value, tuple) else (value,):
            if entry.name in READ and isinstance(one, str):
                yield Path(one.removeprefix("vlm:"))
            elif isinstance(one, Path) and entry.name not in WRITTEN:
                yield one
