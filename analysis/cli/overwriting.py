"""No verb writes over what it reads, or into the folder of its model."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from litelvlm.analysis.cli.options import Common

WRITTEN = frozenset({"out", "card", "numbers", "figures", "report", "target", "cache"})
"""Options that name what a verb writes; the paths of all others are read."""
READ = frozenset({"model", "data", "clip"})
"""Options whose texts may name a folder that is read."""
MODELS = frozenset({"model", "clip", "source"})
"""Options that may name the folder of a model, all of which is in the model's digest."""
PAGES = (".html",)
"""What a verb may write again into a folder that it reads."""
UNREAD = (*PAGES, ".png")
"""What is no part of a model's digest."""


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
    for name, place in _places(verb):
        for folder in _folders_of_models(verb):
            if place.suffix not in UNREAD and place.resolve().is_relative_to(folder.resolve()):
                raise ValueError(
                    f"--{name} {place} lies in the folder of the model {folder}, which would then "
                    f"count as another model; name another place with --{name}"
                )


def _places(verb: Common) -> Iterator[tuple[str, Path]]:
    """Options that name what the verb writes, and the places."""
    for entry in fields(verb):
        value = getattr(verb, entry.name)
        if entry.name in WRITTEN and isinstance(value, Path):
            yield entry.name, value


def _folders_of_models(verb: Common) -> Iterator[Path]:
    for entry in fields(verb):
        value = getattr(verb, entry.name)
        if entry.name in MODELS and isinstance(value, str | Path):
            folder = Path(str(value).removeprefix("vlm:"))
            if folder.is_dir():
                yield folder


def _read(verb: Common) -> Iterator[Path]:
    """Files and folders that the options name and the verb reads."""
    for entry in fields(verb):
        value = getattr(verb, entry.name)
        for one in value if isinstance(value, tuple) else (value,):
            if entry.name in READ and isinstance(one, str):
                yield Path(one.removeprefix("vlm:"))
            elif isinstance(one, Path) and entry.name not in WRITTEN:
                yield one
