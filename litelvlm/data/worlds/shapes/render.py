"""Rasterise scene objects: exact masks and anti-aliased pixels from signed distances.

Only element-wise arithmetic is used on pixels (no matrix products), so that every machine renders
the same bytes.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.noise import smooth_noise
from litelvlm.data.worlds.shapes.objects import COLOURS, SceneObject

Floats = NDArray[np.float64]
_STAR_INNER = 0.45  # inner to outer radius of the star


class Footprint(NamedTuple):
    """Signed distance (pixels, negative inside) of one object on its bounding box."""

    rows: "slice[int, int, None]"
    columns: "slice[int, int, None]"
    distance: Floats  # [h, w]
    u: Floats  # [h, w] object coordinates in units of the diameter, turned with the object
    v: Floats  # [h, w]

    @property
    def inside(self) -> Bool[NDArray[np.bool_], "h w"]:
        """Pixels of the object, whatever hides them."""
        inside: NDArray[np.bool_] = self.distance <= 0.0
        return inside


def _circle(x: Floats, y: Floats, d: float) -> Floats:
    return np.sqrt(x * x + y * y) - 0.5 * d


def _square(x: Floats, y: Floats, d: float) -> Floats:
    return np.maximum(np.abs(x), np.abs(y)) - 0.44 * d


def _triangle(x: Floats, y: Floats, d: float) -> Floats:
    # Equilateral, one corner up: three half planes at the inradius; pushed down a little to centre
    # its bounding box.
    y = y - 0.12 * d
    return np.maximum(y, math.sqrt(0.75) * np.abs(x) - 0.5 * y) - 0.31 * d


def _cross(x: Floats, y: Floats, d: float) -> Floats:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 0.5 * d, np.minimum(x, y) - 0.17 * d)


def _diamond(x: Floats, y: Floats, d: float) -> Floats:
    a, b = 0.36 * d, 0.56 * d
    return (np.abs(x) * b + np.abs(y) * a - a * b) / math.hypot(a, b)


def _ring(x: Floats, y: Floats, d: float) -> Floats:
    return np.abs(np.sqrt(x * x + y * y) - 0.39 * d) - 0.11 * d


def _star(x: Floats, y: Floats, d: float) -> Floats:
    # Fold the plane into one tenth of the star; there its outline is one straight edge from tip to
    # notch.
    outer, sector = 0.58 * d, math.pi / 5
    angle = np.arctan2(x, -y)
    angle = np.abs(angle - 2 * sector * np.rint(angle / (2 * sector)))
    radius = np.sqrt(x * x + y * y)
    edge_x = outer * (_STAR_INNER * math.cos(sector) - 1.0)
    edge_y = outer * _STAR_INNER * math.sin(sector)
    return (
        (radius * np.cos(angle) - outer) * edge_y - radius * np.sin(angle) * edge_x
    ) / math.hypot(edge_x, edge_y)


_DISTANCES: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "diamond": _diamond,
    "ring": _ring,
    "star": _star,
}


def footprint(item: SceneObject, height: int, width: int) -> Footprint:
    """Signed distance of one object on the part of the canvas it can touch."""
    x, y = item.centre
    reach = 0.66 * item.diameter + 2.0
    top, bottom = max(0, math.floor(y - reach)), min(height, math.ceil(y + reach))
    left, right = max(0, math.floor(x - reach)), min(width, math.ceil(x + reach))
    dx = (np.arange(left, right) + 0.5 - x)[None, :]
    dy = (np.arange(top, bottom) + 0.5 - y)[:, None]
    cos, sin = math.cos(item.rotation), math.sin(item.rotation)
    turned_x, turned_y = cos * dx + sin * dy, cos * dy - sin * dx
    distance = _DISTANCES[item.shape](turned_x, turned_y, item.diameter)
    return Footprint(
        slice(top, bottom),
        slice(left, right),
        distance,
        turned_x / item.diameter,
        turned_y / item.diameter,
    )


def _surface(print_: Footprint, texture: str, colour: Floats, rng: np.random.Generator) -> Floats:
    """Colour of the object's surface on its box, [3, h, w]."""
    tilt_u, tilt_v, gain = rng.random(3)
    shade = (
        (0.94 + 0.14 * gain) + 0.28 * (tilt_u - 0.5) * print_.u + 0.28 * (tilt_v - 0.5) * print_.v
    )
    base = colour + 12.0 * (rng.random(3) - 0.5)
    surface: Floats = shade * base[:, None, None]
    if texture == "striped":
        phase, slope = rng.random(), 1.0 if rng.random() < 0.5 else -1.0
        wave = (print_.u + slope * print_.v) * 3.3 + phase
        stripe = np.clip(4.0 * (np.abs(wave - np.floor(wave) - 0.5) - 0.24) + 0.5, 0.0, 1.0)
        surface *= 1.0 - 0.65 * stripe
    elif texture == "dotted":
        a, b = print_.u * 4.2 + rng.random(), print_.v * 4.2 + rng.random()
        a, b = a - np.floor(a) - 0.5, b - np.floor(b) - 0.5
        dot = np.clip(5.0 * (0.29 - np.sqrt(a * a + b * b)) + 0.5, 0.0, 1.0)
        # Dots go towards white; on light colours, where that would not show, towards black.
        pole = 20.0 if colour.sum() > 480 else 250.0
        surface += 0.8 * dot * (pole - surface)
    return surface


def render(
    objects: Sequence[SceneObject],
    footprints: Sequence[Footprint],
    height: int,
    width: int,
    noise: float,
    rng: np.random.Generator,
) -> UInt8[NDArray[np.uint8], "height width 3"]:
    """Paint the objects, far to near, over a low-saturation noisy background."""
    tone = 60.0 + 90.0 * rng.random() + 18.0 * (rng.random(3) - 0.5)
    texture = smooth_noise(rng, height, width, 4) * np.float32(2.6 * noise)
    texture += smooth_noise(rng, height, width, 24) * np.float32(1.6 * noise)
    grain = (rng.random((height, width), dtype=np.float32) - np.float32(0.5)) * np.float32(
        0.9 * noise
    )
    # Planes first, [3, height, width]: broadcasting over a last axis of 3 would be several times
    # slower.
    canvas = texture + tone.astype(np.float32)[:, None, None]
    for i in sorted(range(len(objects)), key=lambda i: -objects[i].depth):
        rows, columns, distance, _, _ = footprints[i]
        alpha = np.clip(0.5 - distance, 0.0, 1.0)
        colour = np.asarray(COLOURS[objects[i].colour], dtype=np.float64)
        surface = _surface(footprints[i], objects[i].texture, colour, rng)
        patch = canvas[:, rows, columns]
        patch += (alpha * (surface - patch)).astype(np.float32)
    canvas += grain + np.float32(0.5)
    np.maximum(canvas, np.float32(0.0), out=canvas)
    np.minimum(canvas, np.float32(255.0), out=canvas)
    return np.ascontiguousarray(canvas.astype(np.uint8).transpose(1, 2, 0))
