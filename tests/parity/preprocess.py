"""CLIP and SAM inputs of whole pictures, thinned out."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.images import open_image
from litelvlm.models.glamm.preprocess import sam_pixel_values
from tests.parity.failures import Failures

CLIP_STRIDE, SAM_STRIDE = 7, 16
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def compute(fixtures: Path, out: Path) -> None:
    """Write ``got.safetensors`` for every picture in the index.

    Without an index, every picture in the folder is meant.
    """
    got: dict[str, Tensor] = {}
    failures = Failures()
    for name, path, clip_side, sam_side in pictures(fixtures):
        with failures.of(f"the picture {name}"):
            if path is None:
                raise FileNotFoundError(f"{fixtures} does not contain the picture {name}")
            image = open_image(path)
            square, (height, width) = sam_pixel_values(image, sam_side)
            resized = torch.from_numpy(
                np.array(image.resize((width, height), Image.Resampling.BILINEAR))
            )
            clip = Preprocessing()(image, clip_side)[0]
            got[f"{path.stem}.clip_strided"] = clip[:, ::CLIP_STRIDE, ::CLIP_STRIDE].contiguous()
            got[f"{path.stem}.sam_strided"] = square[0, :, ::SAM_STRIDE, ::SAM_STRIDE].contiguous()
            got[f"{path.stem}.resized_strided"] = resized[::SAM_STRIDE, ::SAM_STRIDE].contiguous()
    save_file(got, out / "got.safetensors")
    failures.raise_any()


def pictures(fixtures: Path) -> Iterator[tuple[str, Path | None, int, int]]:
    """Name and path of each picture and the sides of CLIP's and SAM's squares."""
    found = {
        path.stem: path for path in sorted(fixtures.rglob("*")) if path.suffix.lower() in PICTURES
    }
    index = fixtures / "index.json"
    entries = (
        json.loads(index.read_text()) if index.is_file() else [{"name": name} for name in found]
    )
    for entry in entries:
        path = found.get(Path(entry["name"]).stem)
        yield (
            entry["name"],
            path,
            entry.get("clip_shape", [336])[-1],
            entry.get("sam_shape", [1024])[-1],
        )
