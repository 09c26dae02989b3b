"""What every procedural world gives: rendered scenes with exact masks and expressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from litelvlm.arrays import NDArray

Kind = Literal["category", "attribute", "place", "relation", "looks", "motion", "order"]


@dataclass(frozen=True, kw_only=True)
class WorldLevel:
    """A difficulty preset; all lengths are shares of the image's short side.

    Attributes:
        name: The level's name in ``LEVELS``.
        sizes: Size name to the side or diameter of an object.
        objects: Least and largest number of objects.
        required: Kinds of expressions that every scene must have.
        min_visible: Least share of an object that occlusion may leave.
        spacing: Least centre distance of two objects, as a share of the mean of their sizes.
        relations: Relations in use.
        quota: Most expressions of each kind taken from one scene, in the order of drawing.
        aspects: (width, height) ratios in use.
        short_side: Short side of the image in pixels.
        target_in_crop: Least share of a target's visible pixels inside the central square CLIP
            sees.
        margin: Gap that makes a place or a relation clear.
    """

    name: str
    sizes: Mapping[str, float]
    objects: tuple[int, int]
    required: tuple[Kind, ...]
    min_visible: float
    spacing: float
    relations: tuple[str, ...]
    quota: Mapping[Kind, int]
    aspects: tuple[tuple[int, int], ...] = ((1, 1), (5, 4), (4, 5), (4, 3))
    short_side: int = 168
    target_in_crop: float = 0.25
    margin: float = 0.12


@dataclass(frozen=True)
class SceneExpression:
    """A sentence that means exactly one object of its scene.

    Attributes:
        sent: The sentence.
        target: Index of the object.
        kind: How the sentence singles its object out: by the category's name alone, by attributes,
            by an extreme place, or by another object; in clips by looks, by its motion, or by the
            order in which objects come and go.
    """

    sent: str
    target: int
    kind: Kind


@dataclass(frozen=True)
class Scene:
    """One rendered scene.

    Attributes:
        seed: The number it was made from.
        image: RGB pixels, 0 to 255.
        categories: Category of each object; the order of objects carries no meaning.
        masks: Visible pixels of each object; disjoint.
        expressions: Sentences that each mean exactly one object.
    """

    seed: int
    image: UInt8[NDArray[np.uint8], "height width 3"]
    categories: tuple[str, ...]
    masks: Bool[NDArray[np.bool_], "n height width"]
    expressions: Sequence[SceneExpression]
