"""Where a model's files are: the shipped miniature, a folder or a hub id."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from litelvlm.clip.openai import OPENAI_CLIP
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.files import CheckpointSource, find_files

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


def usual_number_type(name: str | Path | None) -> str:
    """The number type that a model runs in unless another is asked for.

    Args:
        name: As ``load_model`` takes it; None stands for the published checkpoint.

    Example:
        >>> usual_number_type("embedded"), usual_number_type(None)
        ('float32', 'bfloat16')
    """
    return "float32" if name in EMBEDDED else "bfloat16"


def locate(name: str | Path, revision: str | None = None, fetch: bool = True) -> CheckpointSource:
    """Find the files of a model; a hub id is fetched once and then read from the local copy.

    Args:
        name: a name in ``EMBEDDED``, a folder, or a hub id "owner/name".
        revision: Branch, tag or commit of a hub id; None takes the main branch.
        fetch: False forbids the network: a hub id must have a local copy.

    Raises:
        ValueError: If the name is none of these, or a revision is given for a folder.
        FileNotFoundError: If a hub id has no local copy, and fetching fails or is not allowed.
    """
    choices = [*EMBEDDED, "glamm-7b", "a checkpoint folder", "a hub id 'owner/name'"]
    return find_files(EMBEDDED.get(str(name), name), choices, revision, fetch)


def clip_source(
    folder: Path, config: Mapping[str, object], clip: str | Path | None = None
) -> CheckpointSource:
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
            return CheckpointSource(place, "")
    try:
        return locate(named, fetch=False)
    except (FileNotFoundError, ValueError) as error:
        wanted = named if is_hub_id(named) else OPENAI_CLIP
        raise FileNotFoundError(
            f"the CLIP of {folder} ({named}) is not on this machine: "
            f"run `hf download {wanted}` once, put its files into {folder / 'clip'}, "
            "or name a folder or hub id (clip= in Python, --clip on the command line)"
        ) from error
