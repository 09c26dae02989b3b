"""Training scenes rendered once into memory-mapped arrays, in the forms that CLIP and SAM read."""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.data.worlds.base import Scene
from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD, SAM_MEAN, SAM_STD, sam_size
from litelvlm.training.glamm.sizes import CLIP_SIZE, GRID, SAM_SIZE
from litelvlm.training.worlds import get_world
from litelvlm.training.worlds.base import SceneMeta, TrainingWorld

MAX_OBJECTS = 8
FIRST_SEED = 1_000_000  # evaluation scenes use smaller seeds
PADDING = 255  # id of SAM's padding
_BLOCK = 256


@dataclass(frozen=True)
class SceneBatch:
    """Some scenes of a pool.

    Attributes:
        crop: CLIP pixels [B, 3, 168, 168], normalised.
        square: SAM pixels [B, 3, 192, 192], normalised, zero-padded right and bottom.
        ids: Object index + 1 per SAM pixel [B, 192, 192]; 0 background, ``PADDING`` outside the
            image.
        coverage: Share of each patch covered by each object [B, N, MAX_OBJECTS].
        meta: Objects and expressions per scene.
    """

    crop: Tensor
    square: Tensor
    ids: Tensor
    coverage: Tensor
    meta: list[SceneMeta]


def attribute_labels(batch: SceneBatch, values: Sequence[Sequence[str]]) -> Tensor:
    """Index of each object's value of each attribute [B, MAX_OBJECTS, A]; -1 for none.

    Args:
        batch: Scenes.
        values: Values of each attribute.
    """
    out = torch.full((len(batch.meta), MAX_OBJECTS, len(values)), -1)
    for b, meta in enumerate(batch.meta):
        for o, item in enumerate(meta["objects"]):
            out[b, o] = torch.tensor([v.index(x) for v, x in zip(values, item, strict=True)])
    return out


def scene_arrays(
    scene: Scene, world: TrainingWorld
) -> tuple[Array, Array, Array, Array, SceneMeta]:
    """One scene as (crop, square, ids, coverage, meta), pixels still uint8."""
    height, width = scene.image.shape[:2]
    top, left = (height - CLIP_SIZE) // 2, (width - CLIP_SIZE) // 2
    window = np.s_[top : top + CLIP_SIZE, left : left + CLIP_SIZE]
    cells = scene.masks[(slice(None), *window)].reshape(
        -1, GRID, CLIP_SIZE // GRID, GRID, CLIP_SIZE // GRID
    )
    coverage = np.zeros((GRID * GRID, MAX_OBJECTS), np.uint8)
    coverage[:, : len(scene.masks)] = np.round(255 * cells.mean((2, 4))).reshape(len(cells), -1).T
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
    return scene.image[window], square, ids, coverage, meta


def _render_block(folder: str, name: str, start: int, stop: int) -> list[SceneMeta]:
    arrays = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r+") for name in _SHAPES}
    metas, world = [], get_world(name)
    for i in range(start, stop):
        *values, meta = scene_arrays(world.sample(FIRST_SEED + i), world)
        for name, value in zip(_SHAPES, values, strict=True):
            arrays[name][i] = value
        metas.append(meta)
    return metas


_SHAPES: dict[str, tuple[int, ...]] = {
    "crop": (CLIP_SIZE, CLIP_SIZE, 3),
    "square": (SAM_SIZE, SAM_SIZE, 3),
    "ids": (SAM_SIZE, SAM_SIZE),
    "coverage": (GRID * GRID, MAX_OBJECTS),
}


class ScenePool:
    """The first ``n`` training scenes of a world, rendered on first use (about 230 KB each).

    Args:
        folder: Where the arrays live; made if absent, reused if complete, rendered anew if not.
        world: What is shown.
        n: Number of scenes.
        workers: Rendering processes.
    """

    def __init__(self, folder: Path, world: TrainingWorld, n: int, workers: int = 2) -> None:
        self.folder, self.world, self.n = folder / f"{world.name}-{n}", world, n
        done = self.folder / "meta.json"
        if not done.exists():
            self._render(workers)
            done.with_suffix(".tmp").rename(done)
        self.meta = _read_meta(done)
        self._arrays = {
            name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in _SHAPES
        }

    def _render(self, workers: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, shape in _SHAPES.items():
            open_memmap(
                self.folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(self.n, *shape)
            ).flush()
        starts = range(0, self.n, _BLOCK)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = [
                pool.submit(
                    _render_block, str(self.folder), self.world.name, s, min(s + _BLOCK, self.n)
                )
                for s in starts
            ]
            metas = [
                m for job in tqdm(jobs, desc="rendering scenes", unit="block") for m in job.result()
            ]
        (self.folder / "meta.tmp").write_text(json.dumps(metas))

    def order(self, seed: int, epoch: int) -> Array:
        """The pool's indices in the order of one epoch."""
        return np.random.default_rng([seed, epoch]).permutation(self.n)

    def indices(self, seed: int, step: int, batch: int) -> Array:
        """Scene indices of one training step.

        Every epoch has its own order and drops its last partial batch.
        """
        epoch, at = divmod(step, self.n // batch)
        return self.order(seed, epoch)[at * batch : (at + 1) * batch]

    def crops(self, indices: Sequence[int] | Array) -> Tensor:
        """CLIP pixels [B, 3, 168, 168] alone, normalised, in the order of the indices."""
        rows = torch.from_numpy(self._arrays["crop"][indices])
        return _normalise(rows.float() / 255, CLIP_MEAN, CLIP_STD)

    def coverage(self, index: int) -> Array:
        """Share of each patch that each object of a scene covers [N, MAX_OBJECTS]."""
        found: Array = self._arrays["coverage"][index] / np.float32(255)
        return found

    def __getitem__(self, indices: Sequence[int] | Array) -> SceneBatch:
        rows = {
            name: torch.from_numpy(array[np.sort(indices)]) for name, array in self._arrays.items()
        }
        return SceneBatch(
            _normalise(rows["crop"].float() / 255, CLIP_MEAN, CLIP_STD),
            _normalise(rows["square"].float(), SAM_MEAN, SAM_STD)
            * (rows["ids"] != PADDING)[:, None],
            rows["ids"],
            rows["coverage"].float() / 255,
            [self.meta[i] for i in np.sort(indices)],
        )


def _read_meta(path: Path) -> list[SceneMeta]:
    metas: list[SceneMeta] = json.loads(path.read_text())
    for meta in metas:  # JSON has no tuples
        meta["expressions"] = [(sent, target, kind) for sent, target, kind in meta["expressions"]]
    return metas


def _normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
