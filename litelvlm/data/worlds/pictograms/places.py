"""Named places: what the ground of a scene looks like, and how captions speak of it.

Each place is a pair of colours, from top to bottom, with a texture of its own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import NDArray
from litelvlm.data.worlds.noise import smooth_noise

Field = NDArray[np.float32]
Colour = tuple[int, int, int]

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "grass": "on the grass",
        "sand": "on the sand",
        "night": "at night",
        "sky": "in the sky",
        "snow": "in the snow",
        "water": "on the water",
        "brick": "at a brick wall",
        "wood": "on wood",
    }
)
"""Every place with the words that captions use for it."""
PLACE_NAMES = tuple(WORDS)

_COLOURS: Mapping[str, tuple[Colour, Colour]] = {
    "grass": ((116, 160, 78), (70, 122, 48)),
    "sand": ((226, 202, 152), (200, 168, 112)),
    "night": ((14, 16, 44), (44, 42, 88)),
    "sky": ((98, 160, 228), (182, 216, 244)),
    "snow": ((226, 232, 242), (244, 247, 252)),
    "water": ((58, 128, 176), (26, 84, 138)),
    "brick": ((168, 86, 68), (150, 74, 58)),
    "wood": ((168, 122, 78), (146, 102, 62)),
}


def _grass(rng: np.random.Generator, h: int, w: int) -> Field:
    blades = smooth_noise(rng, h, w, (max(4, h // 9), max(4, w // 2)))
    return blades * np.float32(62) + smooth_noise(rng, h, w, 5) * np.float32(34)


def _sand(rng: np.random.Generator, h: int, w: int) -> Field:
    ripples = smooth_noise(rng, h, w, (max(4, h // 6), 4)) * np.float32(26)
    return ripples + smooth_noise(rng, h, w, (max(4, h // 2), max(4, w // 2))) * np.float32(20)


def _night(rng: np.random.Generator, h: int, w: int) -> Field:
    field = smooth_noise(rng, h, w, 4) * np.float32(14)
    for _ in range(h * w // 500):
        row, column = int(rng.random() * h), int(rng.random() * w)
        field[row, column] += np.float32(90 + 110 * rng.random())
    return field


def _sky(rng: np.random.Generator, h: int, w: int) -> Field:
    clouds = smooth_noise(rng, h, w, (6, 4)) + np.float32(0.5) * smooth_noise(rng, h, w, (14, 9))
    shown: Field = np.clip(clouds * np.float32(220) - np.float32(20), np.float32(0), np.float32(70))
    return shown


def _snow(rng: np.random.Generator, h: int, w: int) -> Field:
    return smooth_noise(rng, h, w, (7, 5)) * np.float32(30) - np.float32(8)


def _water(rng: np.random.Generator, h: int, w: int) -> Field:
    waves = smooth_noise(rng, h, w, (max(4, h // 5), 6)) * np.float32(52)
    return waves + smooth_noise(rng, h, w, (max(4, h // 3), max(4, w // 8))) * np.float32(30)


def _brick(rng: np.random.Generator, h: int, w: int) -> Field:
    tall, wide = max(6, h // 11), max(10, h // 5)
    shift = int(rng.random() * wide)
    row = np.arange(h) // tall
    column = (np.arange(w)[None, :] + shift + (row[:, None] % 2) * (wide // 2)) // wide
    tones = rng.random((int(row.max()) + 1, int(column.max()) + 1), dtype=np.float32)
    field = (tones[row[:, None], column] - np.float32(0.5)) * np.float32(36)
    along = (np.arange(w)[None, :] + shift + (row[:, None] % 2) * (wide // 2)) % wide
    joint = (np.arange(h)[:, None] % tall < max(1, tall // 8)) | (along < max(1, tall // 8))
    grain = smooth_noise(rng, h, w, (max(4, h // 3), max(4, w // 3))) * np.float32(16)
    laid: Field = np.where(joint, np.float32(58), field + grain).astype(np.float32)
    return laid


def _wood(rng: np.random.Generator, h: int, w: int) -> Field:
    plank = max(8, h // 5)
    row = (np.arange(h) + int(rng.random() * plank)) // plank
    tones = (rng.random(int(row.max()) + 1, dtype=np.float32) - np.float32(0.5)) * np.float32(30)
    grain = smooth_noise(rng, h, w, (max(4, h // 2), 5)) * np.float32(40)
    field = grain + tones[row][:, None]
    field[1:][np.diff(row) > 0] -= np.float32(44)
    return field


_TEXTURES: Mapping[str, Callable[[np.random.Generator, int, int], Field]] = {
    "grass": _grass,
    "sand": _sand,
    "night": _night,
    "sky": _sky,
    "snow": _snow,
    "water": _water,
    "brick": _brick,
    "wood": _wood,
}


def paint_place(
    name: str, height: int, width: int, rng: np.random.Generator
) -> Float[NDArray[np.float32], "3 height width"]:
    """Ground of one place in grey levels from 0 to 255, colour planes first."""
    ends = np.array(_COLOURS[name], dtype=np.float32)
    ends = ends + ((rng.random(3) - 0.5) * 14.0 + (rng.random() - 0.5) * 20.0).astype(np.float32)
    way = (np.arange(height, dtype=np.float32) / np.float32(max(1, height - 1)))[None, :, None]
    ground: Field = ends[0][:, None, None] + way * (ends[1] - ends[0])[:, None, None]
    painted: Field = ground + _TEXTURES[name](rng, height, width)
    return painted
