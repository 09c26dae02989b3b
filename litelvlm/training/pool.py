"""Training scenes rendered once into memory-mapped arrays, in the forms that CLIP and SAM read."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from litelvlm.arrays import Array, NDArray
from litelvlm.data.files import atomic_folder
from litelvlm.data.worlds.base import Scene
from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD, SAM_MEAN, SAM_STD
from litelvlm.models.sam2.preprocess import sam_size
from litelvlm.training.arrays import (
    META,
    normalised,
    open_arrays,
    patch_coverage,
    render_arrays,
    step_indices,
)
from litelvlm.training.glamm.sizes import CLIP_SIZE, GRID, SAM_SIZE
from litelvlm.training.worlds import get_world
from litelvlm.training.worlds.base import SceneMeta, TrainingWorld

MAX_OBJECTS = 8
FIRST_SEED = 1_000_000  # evaluation scenes use smaller seeds
PADDING = 255  # id of SAM's padding
_BLOCK = 256


class SceneBatch:
    """Some scenes of a pool; each part is read from disk when it is first asked for.

    Args:
        arrays: Of the whole pool.
        order: Places of the scenes.
        meta: Objects and expressions per scene.
    """

    def __init__(self, arrays: Mapping[str, Array], order: Array, meta: list[SceneMeta]) -> None:
        self.meta, self._arrays, self._order = meta, arrays, order

    def _rows(self, part: str) -> Tensor:
        return torch.from_numpy(self._arrays[part][self._order])

    @property
    def pixels(self) -> UInt8[Tensor, "b h w 3"]:
        """CLIP pixels [B, 168, 168, 3] as drawn, 0 to 255."""
        return self._rows("crop")

    @cached_property
    def crop(self) -> Float[Tensor, "b 3 h w"]:
        """CLIP pixels [B, 3, 168, 168], normalised."""
        return normalised(self.pixels.float() / 255, CLIP_MEAN, CLIP_STD)

    @cached_property
    def ids(self) -> UInt8[Tensor, "b h w"]:
        """Object index + 1 per SAM pixel; 0 background, ``PADDING`` outside the image."""
        return self._rows("ids")

    @cached_property
    def square(self) -> Float[Tensor, "b 3 h w"]:
        """SAM pixels [B, 3, 192, 192], normalised, zero-padded right and bottom."""
        inside = (self.ids != PADDING)[:, None]
        return normalised(self._rows("square").float(), SAM_MEAN, SAM_STD) * inside

    @cached_property
    def coverage(self) -> Float[Tensor, "b n m"]:
        """Share of each patch that each object covers [B, N, MAX_OBJECTS]."""
        return self._rows("coverage").float() / 255


def scene_arrays(scene: Scene, world: TrainingWorld) -> tuple[tuple[Array, ...], SceneMeta]:
    """One scene as (crop, square, ids, coverage), pixels still uint8, and what is known of it."""
    height, width = scene.image.shape[:2]
    top, left = (height - CLIP_SIZE) // 2, (width - CLIP_SIZE) // 2
    window = np.s_[top : top + CLIP_SIZE, left : left + CLIP_SIZE]
    coverage = patch_coverage(scene.masks[(slice(None), *window)], GRID, MAX_OBJECTS)
    h, w = sam_size(height, width, SAM_SIZE)
    square = np.zeros((SAM_SIZE, SAM_SIZE, 3), np.uint8)
    square[:h, :w] = np.asarray(
        Image.fromarray(scene.image).resize((w, h), Image.Resampling.BILINEAR)
    )
    index = (
        (scene.masks * np.arange(1, len(scene.masks) + 1)[:, None, None]).sum(0).astype(np.uint8)
    )
    ids = np.full((SAM_SIZE, SAM_SIZE), PADDING, np.uint8)
    ids[:h, :w] = np.asarray(Image.fromarray(index).resize((w, h), Image.Resampling.NEAREST))
    meta: SceneMeta = {
        "objects": world.describe(scene),
        "expressions": [(e.sent, e.target, e.kind) for e in scene.expressions],
    }
    return (scene.image[window], square, ids, coverage), meta


_LAYOUT = {
    "crop": ("uint8", (CLIP_SIZE, CLIP_SIZE, 3)),
    "square": ("uint8", (SAM_SIZE, SAM_SIZE, 3)),
    "ids": ("uint8", (SAM_SIZE, SAM_SIZE)),
    "coverage": ("uint8", (GRID * GRID, MAX_OBJECTS)),
}


def _draw(name: str, place: int) -> tuple[tuple[Array, ...], SceneMeta]:
    world = get_world(name)
    return scene_arrays(world.sample(FIRST_SEED + place), world)


class ScenePool:
    """The first ``n`` training scenes of a world, rendered on first use (about 230 KB each).

    Args:
        folder: Where the arrays live; made if absent, reused if there.
        world: What is shown.
        n: Number of scenes.
        workers: Rendering processes.
    """

    def __init__(self, folder: Path, world: TrainingWorld, n: int, workers: int = 2) -> None:
        self.world, self.n = world, n
        draw = partial(_draw, world.name)
        render = partial(render_arrays, _LAYOUT, n, _BLOCK, draw, "scenes", workers)
        home = atomic_folder(folder / f"{world.name}-{n}", render)
        self.meta = _read_meta(home / META)
        self._arrays = open_arrays(home, _LAYOUT)

    def indices(self, seed: int, step: int, batch: int) -> Array:
        """Scene indices of one training step; every epoch has its own order."""
        return step_indices(self.n, seed, step, batch)

    def crops(self, indices: Sequence[int] | Array) -> Float[Tensor, "b 3 h w"]:
        """CLIP pixels [B, 3, 168, 168] alone, normalised, in the order of the indices."""
        return SceneBatch(self._arrays, np.asarray(indices), []).crop

    def coverage(self, index: int) -> Array:
        """Share of each patch that each object of a scene covers [N, MAX_OBJECTS]."""
        found: Array = self._arrays["coverage"][index] / np.float32(255)
        return found

    def boxes(self, index: int) -> Float[NDArray[np.float64], "m 4"]:
        """Left, top, right, bottom of what CLIP's square shows of each object, in sides of it.

        They come from the pixels that SAM reads, and are as fine as these; nan for what the square
        does not show.
        """
        ids = self._arrays["ids"][index]
        height, width = (int((ids != PADDING).any(axis).sum()) for axis in (1, 0))
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = ids[top : top + side, left : left + side]
        found = np.full((len(self.meta[index]["objects"]), 4), np.nan)
        for number, box in enumerate(found):
            rows, columns = np.nonzero(square == number + 1)
            if len(rows):
                edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                box[:] = np.array(edges) / side
        return found

    def __getitem__(self, indices: Sequence[int] | Array) -> SceneBatch:
        order = np.sort(indices)
        return SceneBatch(self._arrays, order, [self.meta[i] for i in order])


def _read_meta(path: Path) -> list[SceneMeta]:
    metas: list[SceneMeta] = json.loads(path.read_text())
    for meta in metas:  # JSON has no tuples
        meta["expressions"] = [(sent, target, kind) for sent, target, kind in meta["expressions"]]
    return metas
