"""What loading a model of any family begins with: its files or random weights, its kernel."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from transformers.utils.import_utils import is_flash_attn_2_available

from litelvlm.data.safe.adapters import refuse_adapter
from litelvlm.data.safe.hub_copies import snapshot
from litelvlm.hub_ids import is_hub_id
from litelvlm.names import check_name, unknown_name

# No TensorFlow or Flax copies, images or papers.
_WANTED = ("*.json", "*.model", "*.txt", "*.safetensors", "*.bin", "*.jinja")

WEIGHTS = Path(__file__).parents[1] / "embedded" / "weights"
"""Folder of all that is bundled."""
EMBEDDED: Mapping[str, Path] = MappingProxyType(
    {
        "embedded": WEIGHTS / "pictograms",
        "embedded-pictograms": WEIGHTS / "pictograms",
        "embedded-shapes": WEIGHTS / "shapes",
        "embedded-video": WEIGHTS / "moving",
    }
)
"""Folders of the bundled models that answer with masks, by the names they are loaded with; the
first name is the default. A folder's ``config.json`` tells its family."""
MINIATURE_BELOW = 1024
"""Width of a language model below which a model is a miniature; published ones are wider."""
KERNELS = ("sdpa", "eager", "flash_attention_2")
"""Attention kernels."""


class CheckpointSource(NamedTuple):
    """A folder with files, and the hub commit it was fetched at ("" for a local folder)."""

    folder: Path
    commit: str


def usual_number_type(width: object) -> str:
    """The number type that a model runs in unless another is asked for.

    A miniature takes float32, whatever its name or folder, so that one of your own is compared with
    a bundled one in the same numbers.

    Args:
        width: Of the language model's states, as a checked ``config.json`` has it.

    Example:
        >>> usual_number_type(128), usual_number_type(4096)
        ('float32', 'bfloat16')
    """
    return "float32" if isinstance(width, int) and width < MINIATURE_BELOW else "bfloat16"


def check_kernel(attn: str) -> None:
    """Refuse an attention kernel that is unknown or not installed.

    Raises:
        ValueError: If it is.
    """
    check_name(attn, KERNELS, "attention kernel")
    if attn == "flash_attention_2" and not is_flash_attn_2_available():
        raise ValueError(
            "attention kernel 'flash_attention_2' needs a GPU and the package flash-attn; "
            "use 'sdpa'"
        )


def find_files(
    name: str | Path,
    choices: Sequence[str],
    revision: str | None = None,
    fetch: bool = True,
    prefix: str = "",
) -> CheckpointSource:
    """Find the files of a model; a hub id is fetched once and then read from the local copy.

    Args:
        name: A folder or a hub id "owner/name".
        choices: What names a model, for messages.
        revision: Branch, tag or commit of a hub id; None takes the main branch.
        fetch: False forbids the network: a hub id must have a local copy.
        prefix: Begins the name on the command line, for messages.

    Raises:
        ValueError: If the name is none of these, a revision is given for a folder, or an adapter
            lies there that is not merged.
        FileNotFoundError: If a hub id has no local copy, and the hub has none or must not be asked.
        ConnectionError: If it has no local copy, and the hub cannot be reached or is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"revision {revision!r} goes with a hub id; {name} is a folder")
        refuse_adapter(path)
        return CheckpointSource(path, "")
    if not is_hub_id(name):
        raise unknown_name(f"{prefix}{name}", choices, "model")
    folder = hub_folder(str(name), revision, fetch)
    refuse_adapter(folder)
    return CheckpointSource(folder, folder.name)


def hub_folder(name: str, revision: str | None = None, fetch: bool = True) -> Path:
    """The local copy of a model on the hub, as ``litelvlm.data.safe.hub_copies.snapshot``."""
    return snapshot(name, "model", _WANTED, revision, fetch)


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
    inside = folder.resolve()
    for root in (folder, *(one for one in others if inside not in one.resolve().parents)):
        for path in content_files(root):
            yield path.relative_to(root).as_posix().encode()
            with path.open("rb") as file:
                yield hashlib.file_digest(file, "sha256").digest()


@contextmanager
def random_weights(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Modules that are built inside are drawn from seed 0, on a device and in a number type.

    Outside, the global generators and the default number type are as before.
    """
    before = torch.get_default_dtype()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        torch.set_default_dtype(dtype)
        try:
            with device:
                yield
        finally:
            torch.set_default_dtype(before)
