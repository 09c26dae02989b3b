"""Weight files of a checkpoint folder: which there are, and their tensors one by one."""

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from litelvlm.data.safe.archives import check_archive

# In the order of preference: safetensors holds no code and is read without copies.
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")


def shard_paths(folder: str | Path) -> list[Path]:
    """Weight files of a checkpoint folder, in the order of their names.

    Raises:
        FileNotFoundError: If there are none, or the index names a file that is not there.
        ValueError: If the index cannot be parsed.
    """
    folder = Path(folder)
    for index, whole in zip(INDEXES, WHOLE, strict=True):
        if (folder / index).is_file():
            paths = [folder / name for name in sorted(set(read_index(folder / index).values()))]
            absent = [path.name for path in paths if not path.is_file()]
            if absent:
                raise FileNotFoundError(
                    f"{folder / index} names files that are not there: {', '.join(absent)}"
                )
            return paths
        if (folder / whole).is_file():
            return [folder / whole]
    raise FileNotFoundError(
        f"{folder} does not contain weights; looked for {', '.join([*INDEXES, *WHOLE])}"
    )


def read_index(path: Path) -> dict[str, str]:
    """Tensor name to file name, from an index file.

    Raises:
        ValueError: If the file is no index, or points outside its folder.
    """
    try:
        names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        outside = [name for name in names.values() if Path(name).name != name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not an index of weight files ({error!r}); fetch it again"
        ) from error
    if outside:
        raise ValueError(
            f"{path} names {outside[0]!r}; weight files must be in the folder of their index"
        )
    return names


def check_shard(path: Path) -> None:
    """Check by its table of contents that a file is complete; reads no tensor.

    Raises:
        ValueError: If it is truncated or damaged, or an archive with packed entries.
    """
    if path.suffix == ".safetensors":
        _open_safetensors(path)
    else:
        check_archive(path)


def read_shard(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of one file; a tensor's numbers are read from disk when they are used.

    Raises:
        ValueError: If the file is truncated, damaged, or holds more than tensors.
    """
    if path.suffix == ".safetensors":
        with _open_safetensors(path) as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                yield name, file.get_tensor(name)
    else:
        yield from _read_bin(path).items()


def _open_safetensors(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def _read_bin(path: Path) -> Mapping[str, Tensor]:
    check_archive(path)
    try:
        # Tensors only: a pickle may run code.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it is damaged or holds more than tensors and could run code"
        ) from error
    except (RuntimeError, OSError, EOFError) as error:
        raise ValueError(
            f"{path} is truncated, damaged, or saved by a torch before 1.6; fetch it again"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} does not hold a flat table of tensors")
    return tensors


def read_checkpoint(folder: str | Path) -> Iterator[tuple[str, Tensor]]:
    """Official names and tensors of a checkpoint folder, one file after the other.

    The tensors are views of the files; copy those that you keep.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If a file is damaged, or two files hold the same name.
    """
    seen: dict[str, Path] = {}
    for path in shard_paths(folder):
        for name, tensor in read_shard(path):
            if name in seen:
                raise ValueError(f"{name} is in two files: {seen[name].name} and {path.name}")
            seen[name] = path
            yield name, tensor
