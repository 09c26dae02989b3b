"""Pictograms as a training world: captions name what the crop shows; half are questions."""

from types import MappingProxyType

import numpy as np

from litelvlm.arrays import Array
from litelvlm.data.embedded import TRAINING
from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene
from litelvlm.training.trainings.captions import Thing, draw_informative
from litelvlm.training.trainings.factors import Factors
from litelvlm.training.worlds.base import SceneMeta, TrainingWorld, named

NATURAL = "natural"
"""Colour of an object that is not dyed."""
_CONDITIONS = Factors(scope="scene", questions=0.5)
_SENTENCES = 0.1  # share of the captions with content that are one of the scene's expressions
LEVELS_IN_TURN = ("easy", "medium")
"""Level of the training scenes, by seed."""


class Pictograms(TrainingWorld):
    """Scenes of the levels "easy" and "medium" in turn, without the pictures held out."""

    name = "pictograms"
    attributes = (tuple(CATEGORIES), (NATURAL, *TINTS), tuple(LEVELS["easy"].sizes))
    weights = (1.0, 0.3, 0.3)
    typical = MappingProxyType({"small": 3.0, "large": 9.0})

    def sample(self, seed: int) -> PictogramScene:
        """The training scene of a seed."""
        return sample_scene(seed, LEVELS_IN_TURN[seed % len(LEVELS_IN_TURN)], TRAINING)

    def describe(self, scene: Scene) -> list[list[str]]:
        """Category, colour and size of every object."""
        if not isinstance(scene, PictogramScene):
            raise TypeError(f"expected a scene of pictograms, got {type(scene).__name__}")
        return [[item.category, item.tint or NATURAL, item.size] for item in scene.objects]

    def captions(self, meta: SceneMeta, seen: Array, rng: np.random.Generator) -> tuple[str, ...]:
        """One caption, without near misses."""
        # Two draws are not used: the order of random numbers is part of the recipe.
        rng.random()
        things = [_thing(meta["objects"][i]) for i in rng.permutation(named(meta["objects"], seen))]
        if meta["expressions"] and rng.random() < _SENTENCES:
            sentence = meta["expressions"][int(rng.integers(len(meta["expressions"])))][0]
            things = [Thing(sentence, "", None)]
        rng.random()
        return (draw_informative(things, "", _CONDITIONS, rng),)


def _thing(item: list[str]) -> Thing:
    """An object as captions see it, from its attribute values."""
    category, tint, size = item
    return Thing(category, size, None if tint == NATURAL else tint)
