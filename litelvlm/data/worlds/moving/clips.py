"""Clips of moving pictograms with exact masks and unambiguous expressions.

A clip is a pure function of (seed, inventory).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int, UInt8

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.base import SceneExpression
from litelvlm.data.worlds.canvas import (
    MAX_LAYOUTS,
    choose_expressions,
    free_place,
    pick,
    random_source,
    visible_masks,
)
from litelvlm.data.worlds.moving.expressions import enumerate_expressions
from litelvlm.data.worlds.moving.objects import DIRECTIONS, FRAMES, LEVEL, MovingObject
from litelvlm.data.worlds.pictograms.categories import Inventory
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES, paint_place
from litelvlm.data.worlds.pictograms.scenes import (
    EVERYTHING,
    draw_categories,
    draw_dyes,
    draw_object,
    draw_size,
    paint_objects,
)
from litelvlm.data.worlds.pictograms.sprites import Footprint, footprint, reach

SIDE = LEVEL.short_side
"""Side of every frame in pixels."""
_COMING = (0.15, 0.6)  # share of the objects that enter; a clip has one or the other
_STILL = 0.25  # share of the others that stand
_WAY = (0.055, 0.1)  # least and largest step of a frame, in sides of it
_SLANT = 0.2  # radians either way
_LATEST = 4  # frame in which an object may enter
_SEEN = 3  # frames in which every object shows something


@dataclass(frozen=True)
class MovingScene:
    """One rendered clip.

    Attributes:
        seed: The number it was made from.
        frames: RGB pixels, 0 to 255.
        masks: Visible pixels of each object in each frame; disjoint.
        expressions: Sentences that each mean exactly one object.
        objects: The objects, in the order of ``masks``.
        place: Name of the ground.
    """

    seed: int
    frames: UInt8[NDArray[np.uint8], "f height width 3"]
    masks: Bool[NDArray[np.bool_], "n f height width"]
    expressions: Sequence[SceneExpression]
    objects: tuple[MovingObject, ...]
    place: str


def sample_clip(seed: int, inventory: Inventory = EVERYTHING) -> MovingScene:
    """Make the clip of a seed.

    Places in frame 0 and motions are drawn apart from each other: the first frame says nothing of
    where an object goes. Layouts are redrawn until occlusion stays within the limit and a motion
    tells two objects of the same looks apart.

    Args:
        seed: Any non-negative integer.
        inventory: Categories and pictures that may occur.

    Raises:
        ValueError: If the seed is negative.
        RuntimeError: If no layout fits.
    """
    rng = random_source(seed)
    place = pick(rng, PLACE_NAMES)
    for _ in range(MAX_LAYOUTS):
        objects = _lay_out(rng, inventory)
        if objects is None:
            continue
        expressions = choose_expressions(enumerate_expressions(objects, SIDE), LEVEL, rng)
        if not expressions:
            continue
        prints = [_prints(objects, frame) for frame in range(FRAMES)]
        masks, areas = _visible(objects, prints)
        visible = masks.sum((2, 3))
        often = (visible > 0).sum(1) >= _SEEN
        if often.all() and (visible.sum(1) >= LEVEL.min_visible * areas.sum(1)).all():
            frames = _render(objects, prints, place, rng)
            return MovingScene(seed, frames, masks, expressions, objects, place)
    raise RuntimeError(
        f"no layout found for the clip of seed {seed}; the inventory may be too small"
    )


def _lay_out(rng: np.random.Generator, inventory: Inventory) -> tuple[MovingObject, ...] | None:
    """Draw objects; None if they do not fit."""
    names = draw_categories(rng, LEVEL, inventory)
    dyed = draw_dyes(rng, LEVEL, names)
    depths = np.argsort([rng.random() for _ in names], kind="stable").tolist()
    coming = pick(rng, _COMING)
    objects: list[MovingObject] = []
    for depth, name in zip(depths, names, strict=True):
        size, side = draw_size(rng, LEVEL)
        there = [o.looks for o in objects if o.centred(0, SIDE)]
        others = [(o.centre, LEVEL.spacing * (o.side + side) / 2) for o in there]
        centre = free_place(rng, (SIDE, SIDE), 0.5 * side, others)
        if centre is None:
            return None
        looks = draw_object(rng, inventory, name, size, side, dyed[name], centre, depth)
        objects.append(_set_in_motion(rng, MovingObject(looks, (0.0, 0.0)), coming))
    return tuple(objects)


def _set_in_motion(rng: np.random.Generator, item: MovingObject, coming: float) -> MovingObject:
    """Let an object come from outside, stand, or go from where it is."""
    comes, stands = rng.random() < coming, rng.random() < _STILL
    if stands and not comes:
        return item
    along = pick(rng, tuple(DIRECTIONS.values()))
    length = SIDE * (_WAY[0] + (_WAY[1] - _WAY[0]) * rng.random())
    slant = length * math.sin(_SLANT * (2.0 * rng.random() - 1.0))
    step = (along[0] * length + along[1] * slant, along[1] * length + along[0] * slant)
    moving = MovingObject(item.looks, step)
    if not comes:
        return moving
    # One frame before it enters it lies just outside of the border that it comes over.
    before = int(rng.random() * _LATEST)
    most = reach(item.looks)
    start = [
        place if not sense else (-most if sense > 0 else SIDE + most)
        for place, sense in zip(item.looks.centre, along, strict=True)
    ]
    centre = (start[0] - before * step[0], start[1] - before * step[1])
    return MovingObject(replace(item.looks, centre=centre), step)


def _prints(objects: Sequence[MovingObject], frame: int) -> dict[int, Footprint]:
    """Footprints of the objects that show something in a frame, were nothing before them."""
    near = {i: item for i, item in enumerate(objects) if not item.away(frame, SIDE)}
    found = {i: footprint(item.at(frame), SIDE, SIDE) for i, item in near.items()}
    return {i: one for i, one in found.items() if one.inside.any()}


def _visible(
    objects: Sequence[MovingObject], prints: Sequence[dict[int, Footprint]]
) -> tuple[Bool[NDArray[np.bool_], "n f height width"], Int[NDArray[np.int64], "n f"]]:
    """Visible pixels of each object in each frame, and how many there were with nothing nearer."""
    masks = np.zeros((len(objects), len(prints), SIDE, SIDE), dtype=bool)
    areas = np.zeros(masks.shape[:2], dtype=np.int64)
    for frame, shown in enumerate(prints):
        looks = [objects[i].looks for i in shown]
        masks[list(shown), frame] = visible_masks(looks, [*shown.values()], SIDE, SIDE)[0]
        for i, one in shown.items():
            areas[i, frame] = np.count_nonzero(one.inside)
    return masks, areas


def _render(
    objects: Sequence[MovingObject],
    prints: Sequence[dict[int, Footprint]],
    place: str,
    rng: np.random.Generator,
) -> UInt8[NDArray[np.uint8], "f height width 3"]:
    ground = paint_place(place, SIDE, SIDE, rng)
    return np.stack(
        [
            paint_objects(
                ground.copy(),
                [*shown.values()],
                [objects[i].looks.depth for i in shown],
                rng,
            )
            for shown in prints
        ]
    )
