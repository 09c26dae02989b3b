"""What a miniature's training must know of the world it is trained on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

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


def attribute_labels(
    metas: Sequence[SceneMeta], values: Sequence[Sequence[str]], most: int
) -> Tensor:
    """Index of each object's value of each attribute [B, most, A]; -1 for none.

    Args:
        metas: Of the scenes.
        values: Values of each attribute.
        most: Objects of a scene at most.
    """
    out = torch.full((len(metas), most, len(values)), -1)
    for row, meta in zip(out, metas, strict=True):
        for own, item in zip(row, meta["objects"], strict=False):
            own[:] = torch.tensor([v.index(x) for v, x in zip(values, item, strict=True)])
    return out


def draw_sentences(
    metas: Sequence[SceneMeta], count: int, rng: np.random.Generator
) -> tuple[list[list[str]], Tensor]:
    """Expressions of each scene, repeated where there are few, and their objects [B, count]."""
    sentences: list[list[str]] = []
    objects = torch.zeros(len(metas), count, dtype=torch.long)
    for row, meta in zip(objects, metas, strict=True):
        order = np.resize(rng.permutation(len(meta["expressions"])), count)
        chosen = [meta["expressions"][place] for place in order]
        sentences.append([sentence for sentence, _, _ in chosen])
        row[:] = torch.tensor([target for _, target, _ in chosen])
    return sentences, objects


def named(objects: Sequence[Sequence[str]], seen: Array) -> list[int]:
    """Places of the objects that a caption may name: those seen well, or else the first."""
    return [i for i, share in enumerate(seen[: len(objects)]) if share >= _SEEN] or [0]
