"""Rewrite a folder of .bin files as safetensors, which hold no code and load without a copy."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from litelvlm.data.files import atomic_folder
from litelvlm.data.safe.adapters import ADAPTER_CONFIG, refuse_adapter, refuse_unmerged
from litelvlm.data.safe.weight_files import INDEXES, read_shard, shard_paths
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.lora_files import MergedFiles

_COPIED = (".json", ".model", ".txt", ".jinja")
_LEFT = (*INDEXES, ADAPTER_CONFIG)


def convert(source: str | Path, target: str | Path, lora: MergedFiles | None = None) -> list[Path]:
    """Write a folder's weights as safetensors, and copy its configuration and tokenizer files.

    Names, shapes and number types do not change, also of tensors that the model does not use. The
    folder appears under its name only when it is complete; an interrupted run leaves a hidden
    temporary folder. One file's tensors are in memory at a time.

    Args:
        source: Folder with .bin weights (safetensors are copied as well), of GLaMM or CLIP.
        target: Folder to write; must not exist.
        lora: What ``MergedFiles`` reads of ``source``, to write merged weights under plain names.

    Returns:
        The weight files written.

    Raises:
        FileNotFoundError: If ``source`` holds no weights.
        FileExistsError: If ``target`` exists.
        ValueError: If a file is damaged or holds more than tensors, two files hold the same name,
            ``target`` lies inside ``source``, whose folders are copied, or there is a LoRA and
            ``lora`` is left out.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        raise FileExistsError(
            f"{target} exists and is not overwritten; remove it or name another folder"
        )
    if target.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"{target} is inside {source} and would be copied into itself; name a folder outside it"
        )
    names: list[str] = []
    if lora is None:
        refuse_adapter(source)
    paths = shard_paths(source) if lora is None else lora.paths

    def fill(folder: Path) -> None:
        names.extend(_write_weights(paths, folder, lora.read if lora else _read_plain))
        if lora:
            lora.require_all_met()
        for place in lora.folders if lora else (source,):
            copy_others(place, folder)

    atomic_folder(target, fill)
    return [target / name for name in names]


def _read_plain(path: Path) -> Iterator[tuple[str, Tensor]]:
    tensors = dict(read_shard(path))
    refuse_unmerged(tensors, path.parent)
    yield from tensors.items()


def _write_weights(
    paths: list[Path], folder: Path, read: Callable[[Path], Iterator[tuple[str, Tensor]]]
) -> list[str]:
    """Write weight files and their index into a folder; returns their names."""
    index: dict[str, str] = {}
    written = []
    total = 0
    for path in tqdm(paths, desc="converting", unit="file"):
        name = Path(path.name.replace("pytorch_model", "model", 1)).with_suffix(".safetensors").name
        tensors = dict(_unshared(read(path)))
        twice = sorted(index.keys() & tensors.keys())
        if twice:
            raise ValueError(f"{twice[0]} is in two files: {index[twice[0]]} and {name}")
        save_file(tensors, folder / name, metadata={"format": "pt"})
        written.append(name)
        index |= dict.fromkeys(tensors, name)
        total += sum(tensor.nbytes for tensor in tensors.values())
    if len(paths) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        (folder / INDEXES[0]).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return written


def copy_others(source: Path, folder: Path) -> None:
    """Copy configuration and tokenizer files, and the folder of a CLIP beside them."""
    for path in source.iterdir():
        if path.is_file() and path.suffix in _COPIED and path.name not in _LEFT:
            shutil.copyfile(path, folder / path.name)
        elif (path / "config.json").is_file():  # CLIP beside the weights
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)


def _unshared(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Copy tensors that share memory, which safetensors refuses; others stay views of the file."""
    seen: set[int] = set()
    for name, tensor in tensors:
        place = tensor.untyped_storage().data_ptr()
        whole = tensor.contiguous()
        yield name, whole.clone() if place in seen else whole
        seen.add(place)


def summary(folder: str | Path) -> dict[str, int]:
    """Count the tensors of a folder: "used" by the model, "ignored" by it, or "unknown" to it.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If a file is damaged.
    """
    counts = {"used": 0, "ignored": 0, "unknown": 0}
    for path in shard_paths(folder):
        for name, _ in read_shard(path):
            try:
                counts["ignored" if NAMES.target_of(name) is None else "used"] += 1
            except ValueError:
                counts["unknown"] += 1
    return counts
