"""Scenes of coloured shapes on a noisy ground, with exact masks and unambiguous expressions.

They replace photographs where none can be shipped. A scene is a pure function of (seed, level).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.canvas import canvas_size, compose, free_place, pick, random_source
from litelvlm.data.worlds.shapes.expressions import enumerate_expressions
from litelvlm.data.worlds.shapes.objects import LEVELS, Level, SceneObject
from litelvlm.data.worlds.shapes.render import footprint, render
from litelvlm.names import check_name

T = TypeVar("T")
_TURN = {
    "square": 0.26,
    "cross": 0.26,
    "triangle": 0.26,
    "star": 0.26,
    "diamond": 0.10,
}  # radians; 0.26 = 15 degrees


@dataclass(frozen=True)
class ShapeScene(Scene):
    """One rendered scene of shapes; an object's category is its shape.

    Attributes:
        objects: The objects, in the order of ``categories`` and ``masks``.
    """

    objects: tuple[SceneObject, ...]


def get_level(name: str) -> Level:
    """The preset of this name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return LEVELS[check_name(name, LEVELS, "level")]


def _pick(rng: np.random.Generator, options: Sequence[T], n: int) -> list[T]:
    """Draw n different options, as ``pick`` draws one."""
    pool = list(options)
    return [pool.pop(int(rng.random() * len(pool))) for _ in range(n)]


def _lay_out(
    rng: np.random.Generator, level: Level, height: int, width: int
) -> tuple[SceneObject, ...] | None:
    """Draw objects that share shapes and colours; None if they do not fit."""
    low, high = level.objects
    n = low + int(rng.random() * (high - low + 1))
    wide = 1 if n > 4 else 0
    shapes = _pick(rng, level.shapes, min(len(level.shapes), 2 + int(rng.random() * (1 + wide))))
    colours = _pick(rng, level.colours, min(len(level.colours), 2 + int(rng.random() * 2)))
    objects: list[SceneObject] = []
    for depth in range(n):
        shape, colour = pick(rng, shapes), pick(rng, colours)
        size, texture = pick(rng, tuple(level.sizes)), pick(rng, level.textures)
        diameter = level.sizes[size] * level.short_side * (0.95 + 0.1 * rng.random())
        rotation = _TURN.get(shape, 0.0) * (2.0 * rng.random() - 1.0)
        others = [(o.centre, level.spacing * (o.diameter + diameter) / 2) for o in objects]
        centre = free_place(rng, (height, width), 0.52 * diameter, others)
        if centre is None:
            return None
        objects.append(SceneObject(shape, colour, size, texture, centre, diameter, rotation, depth))
    return tuple(objects)


def sample_scene(seed: int, level: str = "easy") -> ShapeScene:
    """Make the scene of a seed: objects, exact visible masks, image and unambiguous expressions.

    The layout is redrawn until occlusion stays within the level's limit and every kind of
    expression occurs.

    Args:
        seed: Any non-negative integer.
        level: Name of a preset in `LEVELS`.

    Raises:
        ValueError: If the level is unknown or the seed negative.
        RuntimeError: If no layout fits, which means the preset contradicts itself.
    """
    preset, rng = get_level(level), random_source(seed)
    canvas = canvas_size(rng, preset)
    objects, prints, masks, expressions = compose(
        seed,
        rng,
        preset,
        canvas,
        lambda: _lay_out(rng, preset, *canvas),
        footprint,
        lambda drawn, allowed: enumerate_expressions(drawn, preset, allowed),
    )
    image = render(objects, prints, *canvas, preset.noise, rng)
    categories = tuple(item.shape for item in objects)
    return ShapeScene(seed, image, categories, masks, expressions, objects)
