"""Scenes of pictograms on named places, with exact masks and unambiguous expressions.

A scene is a pure function of (seed, level, inventory).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.canvas import canvas_size, compose, free_place, pick, random_source
from litelvlm.data.worlds.pictograms.categories import CATEGORIES, Inventory, conflicts
from litelvlm.data.worlds.pictograms.expressions import enumerate_expressions
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS, Level, SceneObject
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES, paint_place
from litelvlm.data.worlds.pictograms.sprites import Footprint, footprint
from litelvlm.data.worlds.referring import PLACES, Point
from litelvlm.names import check_name

EVERYTHING = Inventory()
_TURN = 0.35  # radians either way, 20 degrees
_HUE = 0.25
_GRAIN = 10.0


@dataclass(frozen=True)
class PictogramScene(Scene):
    """One rendered scene of pictograms.

    Attributes:
        objects: The objects, in the order of ``categories`` and ``masks``.
        place: Name of the ground.
    """

    objects: tuple[SceneObject, ...]
    place: str


def get_level(name: str) -> Level:
    """The preset of this name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return LEVELS[check_name(name, LEVELS, "level")]


def level_vocabulary(level: str = "easy") -> tuple[str, ...]:
    """Every word the expressions of a level can contain, sorted."""
    preset = get_level(level)
    words = {"the", *TINTS, *preset.sizes, *PLACES}
    words.update(word for name in (*CATEGORIES, *preset.relations) for word in name.split())
    return tuple(sorted(words))


def sample_scene(
    seed: int, level: str | Level = "easy", inventory: Inventory = EVERYTHING
) -> PictogramScene:
    """Make the scene of a seed: objects, exact visible masks, image and unambiguous expressions.

    The layout is redrawn until occlusion stays within the level's limit and the expressions that
    the level requires occur, at least one in any case.

    Args:
        seed: Any non-negative integer.
        level: A preset, or its name in ``LEVELS``.
        inventory: Categories and pictures that may occur.

    Raises:
        ValueError: If the level is unknown or the seed negative.
        RuntimeError: If no layout fits, which means that level and inventory contradict each other.
    """
    preset = level if isinstance(level, Level) else get_level(level)
    rng = random_source(seed)
    canvas = canvas_size(rng, preset)
    place = pick(rng, PLACE_NAMES)
    objects, prints, masks, expressions = compose(
        seed,
        rng,
        preset,
        canvas,
        lambda: _lay_out(rng, preset, inventory, *canvas),
        footprint,
        lambda drawn, allowed: enumerate_expressions(drawn, preset, allowed),
    )
    ground = paint_place(place, *canvas, rng)
    image = paint_objects(ground, prints, [item.depth for item in objects], rng)
    categories = tuple(item.category for item in objects)
    return PictogramScene(seed, image, categories, masks, expressions, objects, place)


def draw_categories(rng: np.random.Generator, level: Level, inventory: Inventory) -> list[str]:
    """Categories of the objects of one scene; those of one category stand together.

    Args:
        rng: Source of every choice.
        level: Gives number and repetition.
        inventory: What may occur.
    """
    low, high = level.objects
    n = low + int(rng.random() * (high - low + 1))
    different = n
    if n > 1 and rng.random() < level.repeated:
        different = 1 + int(rng.random() * (n - 1))
    pool = list(inventory.categories)
    chosen: list[str] = []
    while pool and len(chosen) < different:
        chosen.append(pick(rng, pool))
        barred = conflicts(chosen[-1]) | {chosen[-1]}
        pool = [name for name in pool if name not in barred]
    # Those left over repeat categories at random.
    names = [*chosen, *(pick(rng, chosen) for _ in range(n - len(chosen)))]
    return sorted(names, key=chosen.index)


def _lay_out(
    rng: np.random.Generator, level: Level, inventory: Inventory, height: int, width: int
) -> tuple[SceneObject, ...] | None:
    """Draw objects; None if they do not fit."""
    names = draw_categories(rng, level, inventory)
    dyed = draw_dyes(rng, level, names)
    depths = np.argsort([rng.random() for _ in names], kind="stable").tolist()
    objects: list[SceneObject] = []
    for depth, name in zip(depths, names, strict=True):
        size, side = draw_size(rng, level)
        others = [(o.centre, level.spacing * (o.side + side) / 2) for o in objects]
        centre = free_place(rng, (height, width), 0.5 * side, others)
        if centre is None:
            return None
        objects.append(draw_object(rng, inventory, name, size, side, dyed[name], centre, depth))
    return tuple(objects)


def draw_dyes(rng: np.random.Generator, level: Level, names: Sequence[str]) -> dict[str, bool]:
    """Whether the objects of each category of a scene are dyed.

    Args:
        rng: Source of every choice.
        level: Gives the shares.
        names: Category of every object.
    """
    groups = sorted(set(names), key=names.index)
    return {
        name: rng.random() < (level.dyed if names.count(name) > 1 else level.dyed_single)
        for name in groups
    }


def draw_size(rng: np.random.Generator, level: Level) -> tuple[str, float]:
    """A size class and a side in pixels."""
    size = pick(rng, tuple(level.sizes))
    return size, level.sizes[size] * level.short_side * (0.93 + 0.14 * rng.random())


def draw_object(
    rng: np.random.Generator,
    inventory: Inventory,
    category: str,
    size: str,
    side: float,
    dyed: bool,
    centre: Point,
    depth: int,
) -> SceneObject:
    """An object whose other looks are drawn: picture, colour, turn and sense.

    Args:
        rng: Source of every choice.
        inventory: Pictures that may occur.
        category: What it is.
        size: Name of its size class.
        side: Of its square in pixels.
        dyed: Whether it gets one of the named colours.
        centre: (x, y) in pixels.
        depth: 0 is nearest to the viewer.
    """
    return SceneObject(
        category,
        pick(rng, inventory.pictures(category)),
        size,
        pick(rng, tuple(TINTS)) if dyed else None,
        centre,
        side,
        _TURN * (2.0 * rng.random() - 1.0),
        bool(rng.random() < 0.5),
        _HUE * (2.0 * rng.random() - 1.0),
        depth,
    )


def paint_objects(
    canvas: Float[NDArray[np.float32], "3 height width"],
    footprints: Sequence[Footprint],
    depths: Sequence[int],
    rng: np.random.Generator,
) -> UInt8[NDArray[np.uint8], "height width 3"]:
    """Paint objects, far to near, on a ground, which is changed, and add grain.

    Args:
        canvas: The ground in grey levels from 0 to 255.
        footprints: Of the objects.
        depths: Of the objects.
        rng: Source of the grain.
    """
    for i in sorted(range(len(depths)), key=lambda i: -depths[i]):
        rows, columns, colour, opacity, _ = footprints[i]
        patch = canvas[:, rows, columns]
        patch += colour - opacity * patch
    height, width = canvas.shape[1:]
    grain = rng.random((height, width), dtype=np.float32) - np.float32(0.5)
    canvas += grain * np.float32(_GRAIN) + np.float32(0.5)
    np.clip(canvas, np.float32(0), np.float32(255), out=canvas)
    return np.ascontiguousarray(canvas.astype(np.uint8).transpose(1, 2, 0))
