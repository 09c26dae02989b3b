"""What a scene of shapes may contain: objects, difficulty levels and their attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from litelvlm.data.worlds.base import Kind, WorldLevel

# Mid-tones far apart in hue, and white; shading multiplies them by 0.8 to 1.15 and must not make
# one look like another.
COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (208, 36, 36),
        "green": (40, 150, 56),
        "blue": (40, 76, 214),
        "yellow": (240, 212, 40),
        "purple": (150, 52, 176),
        "white": (238, 238, 238),
        "orange": (242, 132, 24),
        "cyan": (64, 208, 220),
    }
)


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: Name of the outline, as used in expressions.
        colour: Name of the base colour.
        size: Name of the size class.
        texture: Name of the surface pattern.
        centre: (x, y) in pixels; pixel (0, 0) covers [0, 1] x [0, 1].
        diameter: Nominal diameter in pixels.
        rotation: Turn in radians.
        depth: 0 is nearest to the viewer.
    """

    shape: str
    colour: str
    size: str
    texture: str
    centre: tuple[float, float]
    diameter: float
    rotation: float
    depth: int


_QUOTA: Mapping[Kind, int] = MappingProxyType({"attribute": 3, "place": 2, "relation": 3})
_SIZES: Mapping[str, float] = MappingProxyType({"small": 0.17, "large": 0.27})
_PROJECTIVE = ("left of", "right of", "above", "below")


@dataclass(frozen=True, kw_only=True)
class Level(WorldLevel):
    """A difficulty preset of shapes.

    Attributes:
        shapes: Outlines in use.
        colours: Colour names in use.
        textures: Surface patterns in use.
        noise: Strength of the background texture, in grey levels.
    """

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    textures: tuple[str, ...]
    noise: float
    required: tuple[Kind, ...] = tuple(_QUOTA)
    sizes: Mapping[str, float] = field(default_factory=lambda: _SIZES)
    relations: tuple[str, ...] = _PROJECTIVE
    quota: Mapping[Kind, int] = field(default_factory=lambda: _QUOTA)


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "easy": Level(
            name="easy",
            shapes=("circle", "square", "triangle", "cross"),
            colours=("red", "green", "blue", "yellow", "purple", "white"),
            textures=("plain",),
            objects=(3, 5),
            min_visible=0.70,
            spacing=0.85,
            noise=14.0,
        ),
        "medium": Level(
            name="medium",
            shapes=("circle", "square", "triangle", "cross"),
            colours=("red", "green", "blue", "yellow", "purple", "white"),
            textures=("plain", "striped"),
            objects=(4, 6),
            min_visible=0.55,
            spacing=0.65,
            noise=18.0,
        ),
        "hard": Level(
            name="hard",
            shapes=("circle", "square", "triangle", "cross", "star", "ring", "diamond"),
            colours=tuple(COLOURS),
            textures=("plain", "striped", "dotted"),
            objects=(3, 7),
            min_visible=0.50,
            spacing=0.60,
            noise=26.0,
            relations=(*_PROJECTIVE, "nearest to"),
        ),
    }
)

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {shape: "shape" for level in LEVELS.values() for shape in level.shapes}
)
"""Every shape of every level, with COCO's supercategory for it; ids count from 1 in this order."""
