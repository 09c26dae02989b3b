"""Where a model's files are: the shipped miniature, a folder or a hub id; and their digest."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from litelvlm.hub_ids import is_hub_id
from litelvlm.names import unknown_name

_WEIGHTS = Path(__file__).parents[3] / "embedded" / "weights"
_PICTOGRAMS = _WEIGHTS / "pictograms"
EMBEDDED: Mapping[str, Path] = MappingProxyType(
    {
        "embedded": _PICTOGRAMS,
        "embedded-pictograms": _PICTOGRAMS,
        "embedded-shapes": _WEIGHTS / "shapes",
    }
)
"""Folders of the miniatures in the package, by the names they are loaded with; the first name is
the default."""
OPENAI_CLIP = "openai/clip-vit-large-patch14-336"
# No TensorFlow or Flax copies, images or papers.
_WANTED = ("*.json", "*.model", "*.txt", "*.safetensors", "*.bin")


class Source(NamedTuple):
    """A folder with files, and the hub commit it was fetched at ("" for a local folder)."""

    folder: Path
    commit: str


def locate(name: str | Path, revision: str | None = None, fetch: bool = True) -> Source:
    """Find the files of a model; a hub id is fetched once and then read from the local copy.

    Args:
        name: a name in ``EMBEDDED``, a folder, or a hub id "owner/name".
        revision: Branch, tag or commit of a hub id; None takes the main branch.
        fetch: False forbids the network: a hub id must have a local copy.

    Raises:
        ValueError: If the name is none of these, or a revision is given for a folder.
        FileNotFoundError: If a hub id has no local copy, and fetching fails or is not allowed.
    """
    path = EMBEDDED.get(str(name)) or Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"revision {revision!r} goes with a hub id; {name} is a folder")
        return Source(path, "")
    if not is_hub_id(name):
        raise unknown_name(
            str(name),
            [*EMBEDDED, "glamm-7b", "a checkpoint folder", "a hub id 'owner/name'"],
            "model",
        )
    try:
        folder = Path(
            snapshot_download(
                str(name),
                revision=revision,
                local_files_only=not fetch,
                allow_patterns=list(_WANTED),
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        at = f" at {revision}" if revision else ""
        why = "cannot be fetched" if fetch else "is not fetched automatically"
        raise FileNotFoundError(
            f"{name}{at} has no local copy and {why}; run `hf download {name}` once where there is "
            "a network, or give a folder with its files"
        ) from error
    return Source(folder, folder.name)


def clip_source(
    folder: Path, config: Mapping[str, object], clip: str | Path | None = None
) -> Source:
    """Find CLIP, which is no part of the published checkpoint.

    Args:
        folder: The checkpoint folder.
        config: Its ``config.json``; "vision_tower" or "mm_vision_tower" names CLIP: a folder
            inside, or a hub id.
        clip: Folder or hub id that replaces the named one; a hub id given here may be fetched.

    Raises:
        FileNotFoundError: If it is not on this machine.
    """
    if clip is not None:
        return locate(clip)
    named = str(config.get("vision_tower") or config.get("mm_vision_tower") or OPENAI_CLIP)
    for place in (folder / named, folder / "clip"):
        if place.is_dir():
            return Source(place, "")
    try:
        return locate(named, fetch=False)
    except (FileNotFoundError, ValueError) as error:
        wanted = named if is_hub_id(named) else OPENAI_CLIP
        raise FileNotFoundError(
            f"the CLIP of {folder} ({named}) is not on this machine: "
            f"run `hf download {wanted}` once, put its files into {folder / 'clip'}, "
            "or name a folder or hub id (clip= in Python, --clip on the command line)"
        ) from error


def content_files(folder: Path) -> list[Path]:
    """Files of a checkpoint folder that decide results: weights, configuration, tokenizer, CLIP."""
    return sorted(path for pattern in _WANTED for path in folder.rglob(pattern) if path.is_file())


def digest(folder: Path, *others: Path) -> str:
    """sha256 over names and contents of ``content_files`` of a folder and of others (CLIP's)."""
    total = hashlib.sha256()
    for part in _parts(folder, others):
        total.update(part)
    return total.hexdigest()


def _parts(folder: Path, others: tuple[Path, ...]) -> Iterator[bytes]:
    for root in (folder, *(other for other in others if folder not in other.parents)):
        for path in content_files(root):
            yield path.relative_to(root).as_posix().encode()
            with path.open("rb") as file:
                yield hashlib.file_digest(file, "sha256").digest()
