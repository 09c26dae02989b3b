"""Weight files of a checkpoint folder: which there are, and their tensors one by one."""

import fnmatch
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from litelvlm.data.safe.archives import check_archive

# In the order of preference: safetensors holds no code and is read without copies.
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")
_DEEPSPEED = (
    "a training state of DeepSpeed, whose weights lie in pieces; put them together with the script "
    "that DeepSpeed wrote beside it, `python zero_to_fp32.py FOLDER OUT`, and give OUT"
)
_OTHER = (
    ("global_step*", _DEEPSPEED),
    ("*_model_states.pt", _DEEPSPEED),
    ("*.distcp", "a shard of FSDP; put them together with `accelerate merge-weights FOLDER OUT`"),
    ("*.gguf", "a file of llama.cpp, which does not hold the published weights; fetch those"),
    ("*.pth", "no checkpoint of transformers; save the model with save_pretrained"),
)
"""What people have in place of weights, and how to make weights of it."""
_POINTER = b"version https://git-lfs"


def shard_paths(folder: str | Path) -> list[Path]:
    """Weight files of a checkpoint folder, in the order of their names.

    They are one file, shards with their index, or shards whose names count them. DeepSpeed's script
    makes a folder called like the file, with shards inside; it is read as well.

    Raises:
        FileNotFoundError: If there are none, or one is not there.
        ValueError: If the index cannot be parsed.
    """
    folder = Path(folder)
    for index, whole in zip(INDEXES, WHOLE, strict=True):
        paths = _indexed(folder / index) or _counted(folder, Path(whole))
        if paths:
            absent = [path.name for path in paths if not path.is_file()]
            if absent:
                more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
                raise FileNotFoundError(
                    f"{folder} counts on {len(paths)} weight files, and {len(absent)} are files "
                    f"that are not there: {', '.join(absent[:3])}{more}; fetch or copy them into it"
                )
            return paths
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / whole).is_dir():
            return shard_paths(folder / whole)
    raise FileNotFoundError(f"{folder} does not contain weights; {_instead(folder)}")


def _indexed(index: Path) -> list[Path]:
    """The files that an index names; none if there is no index."""
    if not index.is_file():
        return []
    return [index.parent / name for name in sorted(set(read_index(index).values()))]


def _counted(folder: Path, whole: Path) -> list[Path]:
    """All shards that the name of one counts, such as `model-00001-of-00003.safetensors`."""
    pattern = re.compile(rf"{whole.stem}-\d{{5}}-of-(\d{{5}}){re.escape(whole.suffix)}")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    counts = {found.group(1) for found in map(pattern.fullmatch, names) if found}
    if len(counts) > 1:
        raise ValueError(
            f"{folder} holds shards of {' and of '.join(sorted(counts))}; keep one set"
        )
    return [
        folder / f"{whole.stem}-{number:05d}-of-{count}{whole.suffix}"
        for count in counts
        for number in range(1, int(count) + 1)
    ]


def _instead(folder: Path) -> str:
    """What to do about a folder without weights, by what lies there."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for pattern, told in _OTHER:
        found = fnmatch.filter(names, pattern)
        if found:
            return f"{found[0]} is {told}"
    return f"looked for {', '.join([*INDEXES, *WHOLE])}"


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
        _check_bin(path)


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
        _refuse_pointer(path)
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again") from error


def _refuse_pointer(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ValueError(
                    f"{path} stands for weights that Git LFS did not fetch; run `git lfs pull` in "
                    "its folder"
                )


def _check_bin(path: Path) -> None:
    _refuse_pointer(path)
    check_archive(path)


def _read_bin(path: Path) -> Mapping[str, Tensor]:
    _check_bin(path)
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
