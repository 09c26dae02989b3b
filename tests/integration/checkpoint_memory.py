"""Print how much memory loading a checkpoint takes, as a share of its weights.

It is a process of its own, for a clean heap.

Usage: ``MALLOC_MMAP_THRESHOLD_=65536 python checkpoint_memory.py FOLDER``, on Linux. With the
threshold set, what is freed goes back to the system at once, so that memory of one measurement does
not hide that of the next.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from litelvlm.data.safe.weight_files import read_checkpoint
from litelvlm.models import weights
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.build import new_parts
from litelvlm.models.glamm.checkpoints.config import read_config
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.weights import load_into, save_checkpoint

SIZES = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
}


def held_bytes() -> int:
    """Memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def most_held(folder: Path, dtype: torch.dtype, config: dict) -> float:
    """Memory added while a checkpoint is loaded, looked at before every tensor and at the end."""
    seen: list[int] = []

    def watched(place: Path) -> Iterator[tuple[str, Tensor]]:
        for entry in read_checkpoint(place):
            seen.append(held_bytes())
            yield entry

    with torch.device("meta"):
        parts = new_parts(config, "sdpa")
    weights.read_checkpoint, before = watched, held_bytes()
    load_into(NAMES, parts, folder, dtype)
    size = sum(weight.nbytes for part in parts.values() for weight in part.parameters())
    return (max(*seen, held_bytes()) - before) / size


def main() -> None:
    """Write about 70 MB of weights in both forms and load each in two number types."""
    root, config = (
        Path(sys.argv[1]),
        {**read_config(EMBEDDED["embedded"]), **SIZES, "num_key_value_heads": 8},
    )
    save_checkpoint(NAMES, new_parts(config, "sdpa"), root / "safetensors")
    (root / "bin").mkdir()
    tensors = {name: tensor.clone() for name, tensor in read_checkpoint(root / "safetensors")}
    torch.save(tensors, root / "bin" / "pytorch_model.bin")
    del tensors
    cases = [
        (form, dtype)
        for form in ("safetensors", "bin")
        for dtype in (torch.float32, torch.bfloat16)
    ]
    found = {f"{form} {dtype}": most_held(root / form, dtype, config) for form, dtype in cases}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
