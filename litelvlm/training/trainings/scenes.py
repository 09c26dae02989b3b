"""Scenes as arrays: symbols on a grid, drawn afresh at every step."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import TINTS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.training.trainings.captions import Thing
from litelvlm.training.trainings.factors import MAX_OBJECTS, Factors

GRID = 6
SYMBOL = 24
"""Channels of a cell of a symbolic scene."""
_SPANS = (2, 3)  # cells along a side of a small and a large object
_DYED = 0.3
_NOISE = 0.3
_CODE_SEED = 20_260


@dataclass(frozen=True)
class SceneTable:
    """Scenes in arrays; objects beyond a scene's own have category -1.

    Attributes:
        category: Index of each object's category [B, M].
        tint: Index of its colour, -1 if it is not dyed [B, M].
        large: Whether it is of the large size [B, M].
        place: Index of the ground [B].
        coverage: Share of each token that each object covers [B, N, M].
        pixels: What the image tower reads [B, C, S, S].
    """

    category: Int[NDArray[np.int64], "b m"]
    tint: Int[NDArray[np.int64], "b m"]
    large: Bool[NDArray[np.bool_], "b m"]
    place: Int[NDArray[np.int64], " b"]
    coverage: Float[Tensor, "b n m"]
    pixels: Float[Tensor, "b c s s"]

    def __len__(self) -> int:
        return len(self.place)

    def things(self, index: int) -> list[Thing]:
        """Objects of one scene as captions see them."""
        return [
            Thing(NAMES[c], "large" if big else "small", TINT_NAMES[t] if t >= 0 else None)
            for c, t, big in zip(
                self.category[index], self.tint[index], self.large[index], strict=True
            )
            if c >= 0
        ]

    def place_name(self, index: int) -> str:
        """Ground of one scene."""
        return PLACE_NAMES[int(self.place[index])]


NAMES = tuple(CATEGORIES)
TINT_NAMES = tuple(TINTS)


def chosen_categories(count: int) -> tuple[int, ...]:
    """Indices of the first ``count`` categories of a fixed mixed order, sorted."""
    order = np.random.default_rng(0).permutation(len(NAMES))
    return tuple(sorted(int(i) for i in order[:count]))


def draw_symbols(factors: Factors, count: int, rng: np.random.Generator) -> SceneTable:
    """Draw scenes of different categories on a grid of ``GRID`` x ``GRID`` cells.

    A cell holds the code of its place, or of the category, the part of the object and its colour,
    with noise. Objects do not overlap.

    Args:
        factors: Clutter and number of categories.
        count: Number of scenes.
        rng: Source of every choice.
    """
    allowed = chosen_categories(factors.categories)
    most = min(factors.clutter, MAX_OBJECTS, len(allowed))
    category = np.full((count, MAX_OBJECTS), -1, dtype=np.int64)
    tint, large = category.copy(), np.zeros((count, MAX_OBJECTS), dtype=bool)
    place = rng.integers(len(PLACE_NAMES), size=count)
    owner = np.full((count, GRID, GRID), -1, dtype=np.int64)
    part = np.zeros((count, GRID, GRID), dtype=np.int64)
    for b in range(count):
        named = rng.permutation(len(allowed))[: int(rng.integers(1, most + 1))]
        for slot, which in enumerate(named):
            large[b, slot] = _put(owner[b], part[b], slot, bool(rng.random() < 0.5), rng)
            category[b, slot] = allowed[which]
            tint[b, slot] = int(rng.integers(len(TINT_NAMES))) if rng.random() < _DYED else -1
    return SceneTable(
        category,
        tint,
        large,
        place,
        _coverage(owner),
        _symbols(category, tint, place, owner, part, rng),
    )


def _put(
    owner: Int[NDArray[np.int64], "g g"],
    part: Int[NDArray[np.int64], "g g"],
    slot: int,
    large: bool,
    rng: np.random.Generator,
) -> bool:
    """Put an object on free cells; one that finds no room becomes small, which always fits.

    Returns:
        Whether it is large.
    """
    for attempt in range(40):
        big = large and attempt < 20
        span = _SPANS[int(big)]
        row, column = rng.integers(GRID - span + 1, size=2)
        box = np.s_[row : row + span, column : column + span]
        if (owner[box] < 0).all():
            owner[box] = slot
            part[box] = np.arange(span)[:, None] * _SPANS[1] + np.arange(span)[None]
            return big
    free = np.argwhere(owner < 0)
    row, column = free[int(rng.integers(len(free)))]
    owner[row, column] = slot
    return False


def _coverage(owner: Int[NDArray[np.int64], "b g g"]) -> Float[Tensor, "b n m"]:
    flat = owner.reshape(len(owner), -1)
    return torch.from_numpy((flat[..., None] == np.arange(MAX_OBJECTS)).astype(np.float32))


@lru_cache(maxsize=1)
def _codes() -> tuple[NDArray[np.float32], ...]:
    """Fixed random codes of categories, parts of categories, colours and places."""
    rng = np.random.default_rng(_CODE_SEED)
    shapes = ((len(NAMES),), (len(NAMES), _SPANS[1] ** 2), (len(TINT_NAMES),), (len(PLACE_NAMES),))
    return tuple(rng.standard_normal((*shape, SYMBOL)).astype(np.float32) for shape in shapes)


def _symbols(
    category: Int[NDArray[np.int64], "b m"],
    tint: Int[NDArray[np.int64], "b m"],
    place: Int[NDArray[np.int64], " b"],
    owner: Int[NDArray[np.int64], "b g g"],
    part: Int[NDArray[np.int64], "b g g"],
    rng: np.random.Generator,
) -> Float[Tensor, "b c g g"]:
    whole, parts, tints, grounds = _codes()
    scene = np.arange(len(place))[:, None, None]
    inside = owner >= 0
    kind = np.where(inside, category[scene, owner], 0)
    colour = np.where(inside, tint[scene, owner], -1)
    drawn = np.float32(0.7) * (whole[kind] + parts[kind, part])
    drawn = drawn + np.where((colour >= 0)[..., None], np.float32(0.5) * tints[colour], 0)
    cells = np.where(inside[..., None], drawn, grounds[place][:, None, None])
    noise = rng.standard_normal(cells.shape, dtype=np.float32) * np.float32(_NOISE)
    planes = np.ascontiguousarray((cells + noise).transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(planes)
