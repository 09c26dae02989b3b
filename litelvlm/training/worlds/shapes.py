"""Shapes as a training world: captions name all that the crop shows, and a near miss goes along."""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from litelvlm.arrays import Array
from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.shapes.scenes import (
    ShapeScene,
    get_level,
    sample_scene,
)
from litelvlm.training.trainings.words import OPENINGS
from litelvlm.training.worlds.base import SceneMeta, TrainingWorld, named

_LEVEL = "easy"
_PRESET = get_level(_LEVEL)


class Shapes(TrainingWorld):
    """Coloured shapes on noise, the world of the first miniature."""

    name = "shapes"
    attributes = (_PRESET.shapes, _PRESET.colours, tuple(_PRESET.sizes), _PRESET.textures)
    weights = (1.0, 0.3, 0.3, 0.3)  # shape is what a small transformer learns last
    typical = MappingProxyType({"small": 3.0, "large": 8.0})

    def sample(self, seed: int) -> ShapeScene:
        """The training scene of a seed."""
        return sample_scene(seed, _LEVEL)

    def describe(self, scene: Scene) -> list[list[str]]:
        """Shape, colour, size and texture of every object."""
        if not isinstance(scene, ShapeScene):
            raise TypeError(f"expected a scene of shapes, got {type(scene).__name__}")
        return [[o.shape, o.colour, o.size, o.texture] for o in scene.objects]

    def captions(self, meta: SceneMeta, seen: Array, rng: np.random.Generator) -> tuple[str, ...]:
        """A caption and its near miss."""
        return caption_pair(meta["objects"], seen, meta["expressions"], rng)


def caption_pair(
    objects: Sequence[Sequence[str]],
    seen: Array,
    expressions: Sequence[tuple[str, int, str]],
    rng: np.random.Generator,
) -> tuple[str, str]:
    """A true caption of a scene and one in which a single attribute is wrong.

    Args:
        objects: (shape, colour, size, texture) of every object.
        seen: Share of each object inside CLIP's crop, in [0, 1].
        expressions: (sentence, target, kind); now and then one stands in for its object's phrase.
        rng: Source of every choice.

    Returns:
        (caption, near miss); the near miss swaps the colours or the shapes of two objects, or
        changes one.
    """
    kept = [list(objects[i]) for i in named(objects, seen)]
    rng.shuffle(kept)
    sized = [bool(rng.random() < 0.5) for _ in kept]
    wrong = [list(o) for o in kept]
    slot = int(rng.integers(2))  # 0 shape, 1 colour
    others = [j for j in range(1, len(kept)) if kept[j][slot] != kept[0][slot]]
    if others and rng.random() < 0.5:
        j = int(rng.choice(others))
        wrong[0][slot], wrong[j][slot] = kept[j][slot], kept[0][slot]
    else:
        pool = sorted({o[slot] for o in objects} - {kept[0][slot]}) or ["object"]
        wrong[0][slot] = str(rng.choice(pool))
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))]
    extra = ""
    if expressions and rng.random() < 0.3:
        extra = " and " + expressions[int(rng.integers(len(expressions)))][0]
    # The swap partner must not always stand right behind the first object.
    order = rng.permutation(len(kept))
    texts = [
        " and ".join("a " + _phrase(group[i], sized[i]) for i in order) + extra
        for group in (kept, wrong)
    ]
    return opening.format(texts[0]), opening.format(texts[1])


def _phrase(item: Sequence[str], with_size: bool) -> str:
    shape, colour, size, texture = item
    words = [size if with_size else "", texture if texture != "plain" else "", colour, shape]
    return " ".join(word for word in words if word)
