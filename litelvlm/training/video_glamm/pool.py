"""Training clips rendered once into memory-mapped arrays, in the forms that the towers read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.data.embedded import TRAINING
from litelvlm.data.files import atomic_folder
from litelvlm.data.worlds.moving.clips import SIDE, MovingScene, sample_clip
from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.sam2.preprocess import MEAN_255, STD_255
from litelvlm.models.video_glamm.preprocess import MEAN, STD, resize_fixed_point
from litelvlm.training.arrays import META, normalised, open_arrays, render_arrays, step_indices
from litelvlm.training.video_glamm.sizes import SAM2, VIDEO
from litelvlm.training.worlds.base import SceneMeta

FIRST_SEED = 1_000_000
"""Clips of evaluation have smaller seeds."""
MAX_OBJECTS = 4
_BLOCK = 64
_LAYOUT = {
    "frames": ("uint8", (FRAMES, SIDE, SIDE, 3)),
    "square": ("uint8", (FRAMES, SAM2.image_size, SAM2.image_size, 3)),
    "ids": ("uint8", (FRAMES, SAM2.image_size, SAM2.image_size)),
    "small": ("uint8", (FRAMES, VIDEO.image_size, VIDEO.image_size, 3)),
    "centres": ("float32", (MAX_OBJECTS, FRAMES, 2)),
}


@dataclass(frozen=True)
class ClipBatch:
    """Some clips of a pool.

    Attributes:
        square: Frames at SAM2's size [B, F, S, S, 3], 0 to 255; see ``sam_pixels``.
        ids: Object index + 1 per pixel of SAM2 [B, F, S, S]; 0 is the ground.
        small: Frames at the video tower's size [B, F, V, V, 3], 0 to 255; see ``video_pixels``.
        centres: (x, y) of each object in each frame, in sides of a frame, outside of it too
            [B, MAX_OBJECTS, F, 2]; nan where there is no object.
        meta: Objects and expressions per clip. Of an object: category, colour ("natural" if it is
            not dyed), size and motion.
    """

    square: Tensor
    ids: Tensor
    small: Tensor
    centres: Tensor
    meta: list[SceneMeta]


def clip_arrays(clip: MovingScene) -> tuple[tuple[Array, ...], SceneMeta]:
    """One clip as the arrays of a pool, pixels still uint8, and what is known of it."""
    side, small = (SAM2.image_size,) * 2, (VIDEO.image_size,) * 2
    index = (clip.masks * np.arange(1, len(clip.masks) + 1)[:, None, None, None]).sum(0)
    square = np.stack(
        [
            np.asarray(Image.fromarray(f).resize(side, Image.Resampling.BILINEAR))
            for f in clip.frames
        ]
    )
    ids = np.stack(
        [
            np.asarray(Image.fromarray(f).resize(side, Image.Resampling.NEAREST))
            for f in index.astype(np.uint8)
        ]
    )
    shrunk = np.stack([resize_fixed_point(frame, *small) for frame in clip.frames])
    centres = np.full((MAX_OBJECTS, FRAMES, 2), np.nan, dtype=np.float32)
    for number, item in enumerate(clip.objects):
        centres[number] = [item.at(frame).centre for frame in range(FRAMES)]
    meta: SceneMeta = {
        "objects": [
            [o.looks.category, o.looks.tint or "natural", o.looks.size, o.motion]
            for o in clip.objects
        ],
        "expressions": [(e.sent, e.target, e.kind) for e in clip.expressions],
    }
    return (clip.frames, square, ids, shrunk, centres / SIDE), meta


def _draw(place: int) -> tuple[tuple[Array, ...], SceneMeta]:
    return clip_arrays(sample_clip(FIRST_SEED + place, TRAINING))


class ClipPool:
    """The first ``n`` training clips, rendered on first use (about 1.5 MB each).

    Args:
        folder: Where the arrays live; made if absent, reused if there.
        n: Number of clips.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self.n = n
        render = partial(render_arrays, _LAYOUT, n, _BLOCK, _draw, "clips", 2)
        self.home = atomic_folder(folder / f"moving-{n}", render)
        self.meta: list[SceneMeta] = json.loads((self.home / META).read_text())
        self._arrays = open_arrays(self.home, _LAYOUT)

    def indices(self, seed: int, step: int, batch: int) -> Array:
        """Clips of one training step; every epoch has its own order."""
        return step_indices(self.n, seed, step, batch)

    def pixels(self, index: int) -> Array:
        """RGB frames of a clip [F, S, S, 3], 0 to 255."""
        found: Array = np.asarray(self._arrays["frames"][index])
        return found

    def __getitem__(self, indices: Sequence[int] | Array) -> ClipBatch:
        order = np.sort(indices)
        parts = ("square", "ids", "small", "centres")
        rows = {name: torch.from_numpy(self._arrays[name][order]) for name in parts}
        return ClipBatch(**rows, meta=[self.meta[i] for i in order])


def sam_pixels(frames: Tensor) -> Tensor:
    """SAM2's input [N, 3, S, S] of frames [N, S, S, 3]."""
    return normalised(frames.float(), MEAN_255, STD_255)


def video_pixels(frames: Tensor) -> Tensor:
    """The video tower's input [N, 3, V, V] of frames [N, V, V, 3]."""
    return normalised(frames.float() / 255, MEAN, STD)
