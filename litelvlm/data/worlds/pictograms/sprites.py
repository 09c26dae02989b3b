"""Pictures of the atlas, turned, scaled, dyed and placed, with their exact masks.

Only element-wise arithmetic is used on pixels, so that every machine renders the same bytes.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.pictograms.atlas import ATLAS, COLUMNS, SIDE
from litelvlm.data.worlds.pictograms.categories import pictures
from litelvlm.data.worlds.pictograms.objects import TINTS, SceneObject

Pixels = NDArray[np.float32]
_HALVINGS = 2


class Footprint(NamedTuple):
    """One object on the part of the canvas it can touch.

    Attributes:
        rows, columns: That part.
        colour: Red, green and blue, 0 to 255, times opacity [3, h, w].
        opacity: In [0, 1] [h, w].
        inside: Pixels at least half opaque [h, w].
    """

    rows: "slice[int, int, None]"
    columns: "slice[int, int, None]"
    colour: Float[Pixels, "3 h w"]
    opacity: Float[Pixels, "h w"]
    inside: Bool[NDArray[np.bool_], "h w"]


@lru_cache(maxsize=1)
def _sprites() -> tuple[Float[Pixels, "n 4 s s"], ...]:
    """All pictures at full, half and quarter size, colour times opacity, one clear pixel around."""
    with Image.open(ATLAS) as image:
        atlas = np.asarray(image.convert("RGBA"), dtype=np.float32)
    rows = atlas.shape[0] // SIDE
    cells = atlas.reshape(rows, SIDE, COLUMNS, SIDE, 4).transpose(0, 2, 4, 1, 3)
    found = cells.reshape(rows * COLUMNS, 4, SIDE, SIDE)[: len(pictures())].copy()
    found[:, 3] /= np.float32(255)
    found[:, :3] *= found[:, 3:]
    sizes = [found]
    for _ in range(_HALVINGS):
        a = sizes[-1]
        sizes.append(
            (a[..., ::2, ::2] + a[..., 1::2, ::2] + a[..., ::2, 1::2] + a[..., 1::2, 1::2])
            * np.float32(0.25)
        )
    return tuple(np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1))) for a in sizes)


def reach(item: SceneObject) -> float:
    """Half the side of the upright square around an object, with a pixel to spare."""
    cos, sin = math.cos(item.rotation), math.sin(item.rotation)
    return 0.5 * item.side * (abs(cos) + abs(sin)) + 1.0


def footprint(item: SceneObject, height: int, width: int) -> Footprint:
    """Pixels of one object on a canvas."""
    x, y = item.centre
    cos, sin = math.cos(item.rotation), math.sin(item.rotation)
    most = reach(item)
    top, bottom = max(0, math.floor(y - most)), min(height, math.ceil(y + most))
    left, right = max(0, math.floor(x - most)), min(width, math.ceil(x + most))
    dx = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x))[None, :]
    dy = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y))[:, None]
    scale = -1.0 if item.flipped else 1.0
    halvings = min(_HALVINGS, max(0, int(math.log2(SIDE / item.side) + 0.35)))
    sprite = _sprites()[halvings][item.picture]
    per_pixel = (sprite.shape[-1] - 2) / item.side
    u = (dx * np.float32(scale * cos * per_pixel)) + (dy * np.float32(scale * sin * per_pixel))
    v = (dy * np.float32(cos * per_pixel)) - (dx * np.float32(sin * per_pixel))
    drawn = _bilinear(sprite, u, v)
    opacity = np.minimum(drawn[3], np.float32(1))
    colour = _dyed(drawn[:3], opacity, item)
    return Footprint(
        slice(top, bottom), slice(left, right), colour, opacity, opacity >= np.float32(0.5)
    )


def _bilinear(
    sprite: Float[Pixels, "4 s s"], u: Float[Pixels, "h w"], v: Float[Pixels, "h w"]
) -> Float[Pixels, "4 h w"]:
    """Sample a sprite at offsets (u, v) in its pixels from its centre; clear outside of it."""
    side = sprite.shape[-1]
    middle = np.float32((side - 1) / 2)
    column = np.clip(u + middle, np.float32(0), np.float32(side - 1.001))
    row = np.clip(v + middle, np.float32(0), np.float32(side - 1.001))
    left, top = column.astype(np.int64), row.astype(np.int64)
    part_x, part_y = column - left.astype(np.float32), row - top.astype(np.float32)
    flat, at = sprite.reshape(4, -1), top * side + left
    upper = flat[:, at] + part_x * (flat[:, at + 1] - flat[:, at])
    lower = flat[:, at + side] + part_x * (flat[:, at + side + 1] - flat[:, at + side])
    drawn: Pixels = upper + part_y * (lower - upper)
    return drawn


def _dyed(
    colour: Float[Pixels, "3 h w"], opacity: Float[Pixels, "h w"], item: SceneObject
) -> Float[Pixels, "3 h w"]:
    """Dye a picture with its tint, or turn its natural colours a little; both keep the shading."""
    light = (
        np.float32(0.30) * colour[0] + np.float32(0.55) * colour[1] + np.float32(0.15) * colour[2]
    )
    if item.tint is None:
        cos, sin = np.float32(math.cos(item.hue)), np.float32(math.sin(item.hue) / math.sqrt(3))
        away = colour - light
        across = np.stack([away[2] - away[1], away[0] - away[2], away[1] - away[0]])
        turned: Pixels = np.clip(light + cos * away + sin * across, np.float32(0), 255 * opacity)
        return turned
    tint = np.array(TINTS[item.tint], dtype=np.float32)[:, None, None]
    # Dark parts become dark shades of the tint, bright parts pale ones.
    shade = np.float32(0.42) * opacity + np.float32(0.68 / 255) * light
    pale = np.maximum(light - np.float32(190) * opacity, np.float32(0)) * np.float32(0.9)
    dyed: Pixels = np.clip(tint * shade + pale, np.float32(0), 255 * opacity)
    return dyed
