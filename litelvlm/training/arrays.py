"""Rendered scenes in memory-mapped arrays: making, reading and ordering them."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm.auto import tqdm

from litelvlm.arrays import Array, NDArray
from litelvlm.training.worlds.base import SceneMeta

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Number type and shape of one scene's part, by name of the part."""
Draw = Callable[[int], tuple[Sequence[Array], SceneMeta]]
"""Parts of the scene at a place in the order of the layout, and what is known of it."""
META = "meta.json"
"""What is known of the scenes, beside their arrays."""


def make_arrays(folder: Path, layout: Layout, count: int) -> dict[str, Array]:
    """Empty arrays for some scenes, one file for each part."""
    return {
        name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=(count, *shape))
        for name, (kind, shape) in layout.items()
    }


def open_arrays(folder: Path, layout: Layout, write: bool = False) -> dict[str, Array]:
    """The arrays of a folder, to read or to fill."""
    return {
        name: np.load(folder / f"{name}.npy", mmap_mode="r+" if write else "r") for name in layout
    }


def render_arrays(
    layout: Layout, count: int, block: int, draw: Draw, kind: str, workers: int, folder: Path
) -> None:
    """Draw scenes in several processes into a folder.

    Args:
        layout: Of one scene.
        count: Number of scenes.
        block: Scenes that a process draws at once.
        draw: Draws one; it must be importable.
        kind: What the scenes are called in the progress bar.
        workers: Processes.
        folder: Where the arrays go.
    """
    make_arrays(folder, layout, count)
    blocks = [range(start, min(start + block, count)) for start in range(0, count, block)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = pool.map(partial(_render_block, folder, layout, draw), blocks)
        bar = tqdm(done, f"rendering {kind}", total=len(blocks), unit="block")
        metas = [meta for one in bar for meta in one]
    (folder / META).write_text(json.dumps(metas))


def _render_block(folder: Path, layout: Layout, draw: Draw, places: range) -> list[SceneMeta]:
    arrays, metas = open_arrays(folder, layout, write=True), []
    for place in places:
        values, meta = draw(place)
        for part, value in zip(layout, values, strict=True):
            arrays[part][place] = value
        metas.append(meta)
    return metas


def step_indices(count: int, seed: int, step: int, batch: int) -> Int[NDArray[np.int64], " b"]:
    """Scene indices of one training step; every epoch has its own order.

    The last partial batch of an epoch is dropped.
    """
    epoch, at = divmod(step, max(1, count // batch))
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[at * batch : (at + 1) * batch]


def patch_coverage(masks: Array, grid: int, most: int) -> UInt8[NDArray[np.uint8], "n m"]:
    """Share of each patch that each object covers, in 255ths.

    Args:
        masks: Of the objects [M, S, S], on the pixels that the image tower reads.
        grid: Patches along a side.
        most: Columns of the result; those beyond the objects are 0.
    """
    size = masks.shape[-1] // grid
    cells = masks.reshape(-1, grid, size, grid, size)
    coverage = np.zeros((grid * grid, most), np.uint8)
    coverage[:, : len(masks)] = np.round(255 * cells.mean((2, 4))).reshape(len(cells), -1).T
    return coverage


def normalised(
    pixels: Tensor, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """Pixels [B, H, W, 3] with mean and spread of each channel taken off."""
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
