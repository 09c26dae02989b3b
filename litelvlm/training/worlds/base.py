"""What a miniature's training must know of the world it is trained on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from litelvlm.arrays import Array
from litelvlm.data.worlds.base import Scene

SIZE = 2
"""Place of the size among an object's attributes, in every world."""
_SEEN = 0.5  # a caption names what shows half of its pixels inside the crop


class SceneMeta(TypedDict):
    """What is known of a scene besides its pixels.

    Attributes:
        objects: Attribute values of every object, in the order of the world's ``attributes``.
        expressions: (sentence, index of its object, kind).
    """

    objects: list[list[str]]
    expressions: list[tuple[str, int, str]]


class TrainingWorld(ABC):
    """Scenes to train on, and the words for them.

    Attributes:
        name: Name of the world.
        attributes: Values of each attribute of an object; the first attribute says what it is, the
            third is its size.
        weights: How much the dense helper cares for each attribute.
        typical: Patches that an object of each size covers where nothing hides it.
    """

    name: str
    attributes: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]
    typical: Mapping[str, float]

    @abstractmethod
    def sample(self, seed: int) -> Scene:
        """The training scene of a seed."""

    @abstractmethod
    def describe(self, scene: Scene) -> list[list[str]]:
        """Attribute values of every object of a scene."""

    @abstractmethod
    def captions(self, meta: SceneMeta, seen: Array, rng: np.random.Generator) -> tuple[str, ...]:
        """Texts for a scene: a true caption, then near misses, always the same number.

        Args:
            meta: The scene.
            seen: Share of each object inside CLIP's crop, in [0, 1].
            rng: Source of every choice.
        """

    def share_seen(self, meta: SceneMeta, patches: Array) -> Array:
        """Rough share of each object inside the crop: its patches over those typical of its size.

        Args:
            meta: The scene.
            patches: Patches that each object covers [at least its number of objects].
        """
        shares = [patches[i] / self.typical[item[SIZE]] for i, item in enumerate(meta["objects"])]
        return np.array(shares).clip(0, 1)


def named(objects: Sequence[Sequence[str]], seen: Array) -> list[int]:
    """Places of the objects that a caption may name: those seen well, or else the first."""
    return [i for i, share in enumerate(seen[: len(objects)]) if share >= _SEEN] or [0]
