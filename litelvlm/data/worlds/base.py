"""What every procedural world gives: rendered scenes with exact masks and expressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray

Kind = Literal["category", "attribute", "place", "relation"]
KINDS: tuple[Kind, ...] = ("category", "attribute", "place", "relation")


@dataclass(frozen=True)
class SceneExpression:
    """A sentence that means exactly one object of its scene.

    Attributes:
        sent: The sentence.
        target: Index of the object.
        kind: How the sentence singles its object out: by the category's name alone, by attributes,
            by an extreme place, or by another object.
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
