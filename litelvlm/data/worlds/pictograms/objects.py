"""What a scene of pictograms may contain: objects, tints and difficulty levels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from litelvlm.data.worlds.base import Kind, WorldLevel

TINTS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (226, 44, 44),
        "yellow": (246, 214, 44),
        "green": (52, 172, 70),
        "blue": (58, 100, 236),
        "purple": (164, 66, 204),
    }
)
"""Colours that a picture can be dyed with, far apart in hue."""


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        category: Name of the category, as used in expressions.
        picture: Place of its picture in the atlas.
        size: Name of the size class.
        tint: Name of the colour it is dyed with; None keeps its natural colours, and then no colour
            word is used for its category in the scene.
        centre: (x, y) in pixels; pixel (0, 0) covers [0, 1] x [0, 1].
        side: Side of the picture's square in pixels.
        rotation: Turn in radians.
        flipped: Whether left and right are exchanged.
        hue: Small turn of the natural colours round the colour circle, in radians.
        depth: 0 is nearest to the viewer.
    """

    category: str
    picture: int
    size: str
    tint: str | None
    centre: tuple[float, float]
    side: float
    rotation: float
    flipped: bool
    hue: float
    depth: int


_QUOTA: Mapping[Kind, int] = MappingProxyType(
    {"category": 2, "attribute": 2, "place": 2, "relation": 2}
)


@dataclass(frozen=True, kw_only=True)
class Level(WorldLevel):
    """A difficulty preset of pictograms.

    Attributes:
        repeated: Share of the scenes of two or more objects in which a category occurs repeatedly.
        dyed: Share of the repeated categories whose objects are all dyed.
        dyed_single: Share of the other objects that are dyed.
    """

    repeated: float
    dyed: float = 0.5
    dyed_single: float = 0.15
    required: tuple[Kind, ...] = ()
    min_visible: float = 0.7
    spacing: float = 0.8
    relations: tuple[str, ...] = ("left of", "right of", "above", "below")
    quota: Mapping[Kind, int] = field(default_factory=lambda: _QUOTA)


_ALL: tuple[Kind, ...] = ("attribute", "place", "relation")

LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "easy": Level(
            name="easy",
            sizes=MappingProxyType({"small": 0.24, "large": 0.40}),
            objects=(1, 4),
            repeated=0.5,
        ),
        "medium": Level(
            name="medium",
            sizes=MappingProxyType({"small": 0.19, "large": 0.31}),
            objects=(3, 5),
            repeated=1.0,
            required=_ALL,
            spacing=0.75,
        ),
        "hard": Level(
            name="hard",
            sizes=MappingProxyType({"small": 0.16, "large": 0.26}),
            objects=(4, 8),
            repeated=1.0,
            required=_ALL,
            min_visible=0.5,
            spacing=0.6,
            relations=("left of", "right of", "above", "below", "nearest to"),
        ),
    }
)
