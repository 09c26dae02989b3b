"""Rewrite a checkpoint folder of .bin files as safetensors, which hold no code and load without a copy."""

import json
import logging
import shutil
from pathlib import Path

from safetensors.torch import save_file

from litelvlm.glamm.shards import INDEXES, read_shard, shard_paths

logger = logging.getLogger(__name__)


def convert(source: str | Path, target: str | Path) -> list[Path]:
    """Write a folder's weights as safetensors, file by file, and copy its configuration and tokenizer files.

    Names, shapes and number types stay as they are. The index comes last, so that an interrupted run leaves a folder
    that is refused and not one that is half read.

    Args:
        source: Folder with .bin weights (safetensors are carried over as well).
        target: Folder to write; made if need be.

    Returns:
        The weight files written.

    Raises:
        FileNotFoundError: If ``source`` holds no weights.
        ValueError: If a file is damaged or holds more than tensors, or ``target`` is ``source``.
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise ValueError(f"cannot convert {source} into itself; name another folder")
    paths = shard_paths(source)
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    index: dict[str, str] = {}
    total = 0
    for path in paths:
        out = target / path.name.replace("pytorch_model", "model", 1)
        out = out.with_suffix(".safetensors")
        logger.info("converting %s to %s", path, out)
        # Tied names share memory, which safetensors refuses; a copy of each is what the reader expects anyway.
        tensors = {name: tensor.contiguous().clone() for name, tensor in read_shard(path)}
        partial = out.with_suffix(".part")
        save_file(tensors, partial, metadata={"format": "pt"})
        partial.replace(out)
        written.append(out)
        index |= dict.fromkeys(tensors, out.name)
        total += sum(tensor.nbytes for tensor in tensors.values())
    for path in source.iterdir():
        if path.is_file() and path.suffix in (".json", ".model", ".txt") and path.name not in INDEXES:
            shutil.copyfile(path, target / path.name)
    if len(paths) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        (target / INDEXES[0]).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return written
