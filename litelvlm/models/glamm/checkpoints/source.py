"""Where a model's files are: the shipped miniature, a folder or a hub id."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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


def named_clip(config: Mapping[str, object]) -> str | None:
    """What a checkpoint's ``config.json`` calls its CLIP: a folder inside, or a hub id."""
    named = config.get("vision_tower") or config.get("mm_vision_tower")
    return None if named is None else str(named)
