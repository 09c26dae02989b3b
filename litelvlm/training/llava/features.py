"""CLIP's patch states of the training scenes, computed once, since CLIP stays as it is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.clip.hf import ClipTower
from litelvlm.models.vlm.miniature import vision_of
from litelvlm.training.pool import ScenePool


class FeatureCache:
    """Patch states in float16 (about 55 KB a scene), computed when first asked for.

    Args:
        folder: Where the arrays live; what is there is used again.
        pool: The scenes.
        tower: CLIP; the folder belongs to it alone.
    """

    def __init__(self, folder: Path, pool: ScenePool, tower: ClipTower) -> None:
        self.pool, self.tower = pool, tower
        folder.mkdir(parents=True, exist_ok=True)
        n_tokens = tower.grid[0] * tower.grid[1]
        width = vision_of(tower.clip.config).hidden_size
        self._states = _memmap(folder / "states.npy", (pool.n, n_tokens, width), "float16")
        self._known = _memmap(folder / "known.npy", (pool.n,), "bool")

    def __getitem__(self, indices: Sequence[int] | Array) -> Tensor:
        """States [B, N, d] in float32, in the order of the indices."""
        rows = np.asarray(indices)
        missing = np.sort(rows[~self._known[rows]])
        if len(missing):
            self._fill(missing)
        return torch.from_numpy(self._states[rows].astype(np.float32))

    @torch.inference_mode()
    def _fill(self, indices: Array) -> None:
        pixels = self.pool.crops(indices).to(self.tower.device)
        states = self.tower.image(pixels).patch_tokens
        self._states[indices] = states.half().cpu().numpy()
        self._known[indices] = True


def _memmap(path: Path, shape: tuple[int, ...], dtype: str) -> Array:
    if path.exists():
        found: Array = np.load(path, mmap_mode="r+")
        return found
    return open_memmap(path, mode="w+", dtype=dtype, shape=shape)
