"""CLIP and SAM inputs of whole pictures, thinned out."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from litelvlm.glamm.preprocess import clip_pixel_values, open_image, sam_pixel_values

CLIP_STRIDE, SAM_STRIDE = 7, 16


def compute(fixtures: Path, out: Path) -> None:
    """Write ``got.safetensors`` for every picture in the index."""
    got = {}
    for entry in json.loads((fixtures / "index.json").read_text()):
        name = entry["name"]
        image = open_image(next(iter(sorted(fixtures.glob(f"{name}.*")))))
        clip = clip_pixel_values(image, entry["clip_shape"][-1])[0]
        square, (height, width) = sam_pixel_values(image, entry["sam_shape"][-1])
        resized = torch.from_numpy(np.array(image.resize((width, height), Image.Resampling.BILINEAR)))
        got[f"{name}.clip_strided"] = clip[:, ::CLIP_STRIDE, ::CLIP_STRIDE].contiguous()
        got[f"{name}.sam_strided"] = square[0, :, ::SAM_STRIDE, ::SAM_STRIDE].contiguous()
        got[f"{name}.resized_strided"] = resized[::SAM_STRIDE, ::SAM_STRIDE].contiguous()
    save_file(got, out / "got.safetensors")
