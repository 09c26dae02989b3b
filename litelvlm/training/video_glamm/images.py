"""What the language model sees of CLIP: computed once for all clips, since CLIP does not learn."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.data.files import atomic_folder
from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.training.arrays import make_arrays, normalised, open_arrays
from litelvlm.training.glamm.sizes import GRID
from litelvlm.training.video_glamm.pool import ClipPool
from litelvlm.training.video_glamm.sizes import WIDTH

SIDE = GRID // 2
"""Side of CLIP's grid of a frame behind the pooling."""
_LAYOUT = {"tokens": ("float16", (FRAMES, SIDE * SIDE, WIDTH))}


@torch.inference_mode()
def image_tokens(start: Glamm, frames: Array) -> Tensor:
    """CLIP's tokens of frames [F, S, S, 3], projected and pooled [F, N, E].

    Args:
        start: The miniature GLaMM whose CLIP and projector are taken over.
        frames: RGB pixels, 0 to 255.
    """
    pixels = normalised(torch.from_numpy(frames).float() / 255, CLIP_MEAN, CLIP_STD)
    tokens = start.tower.image(pixels.to(start.device)).patch_tokens
    return pool_squares(start.projector(tokens), SIDE)


class ImageTokens:
    """Tokens of all clips of a pool, computed on first use.

    Args:
        pool: The clips.
        start: As for ``image_tokens``.
    """

    def __init__(self, pool: ClipPool, start: Glamm) -> None:
        def fill(folder: Path) -> None:
            out = make_arrays(folder, _LAYOUT, pool.n)["tokens"]
            for index in tqdm(range(pool.n), desc="CLIP", unit="clip"):
                out[index] = image_tokens(start, pool.pixels(index)).cpu().numpy()

        home = atomic_folder(pool.home.parent / f"{pool.home.name}-{start.digest[:12]}", fill)
        self._tokens = open_arrays(home, _LAYOUT)["tokens"]

    def __getitem__(self, indices: Array) -> Tensor:
        """Tokens [B, F * N, E], float32, in the order of ``ClipPool``."""
        rows = torch.from_numpy(self._tokens[np.sort(indices)])
        return rows.flatten(1, 2).float()
