"""Where the files of a GLaMM are: in the package, in a folder or on the hub."""

from collections.abc import Mapping
from pathlib import Path

from litelvlm.models.files import EMBEDDED, CheckpointSource, find_files


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
