"""Files of checkpoints: the local copy of a hub id, and a digest over what decides results."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

# No TensorFlow or Flax copies, images or papers.
_WANTED = ("*.json", "*.model", "*.txt", "*.safetensors", "*.bin", "*.jinja")


def hub_folder(name: str, revision: str | None = None, fetch: bool = True) -> Path:
    """The local copy of a hub id, fetched once; the folder bears the name of its commit.

    Args:
        name: "owner/name".
        revision: Branch, tag or commit; None takes the main branch.
        fetch: False forbids the network.

    Raises:
        FileNotFoundError: If there is no local copy, and fetching fails or is not allowed.
    """
    try:
        return Path(
            snapshot_download(
                name,
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
