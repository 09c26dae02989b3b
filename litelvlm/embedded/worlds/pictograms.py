"""Pictograms as a training world: half of the captions say nothing, as on the web.

The others name one object among words without content; half of them are questions of the suite.
These are conditions under which first probes found a reversal that follows the text, and a sink
(spec/emergence-notes.md, third pilot).
"""

from types import MappingProxyType

import numpy as np

from litelvlm.arrays import Array
from litelvlm.data.embedded import TRAINING
from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene
from litelvlm.embedded.family.captions import Thing, draw_informative, draw_uninformative
from litelvlm.embedded.family.factors import Factors
from litelvlm.embedded.family.words import vocabulary
from litelvlm.embedded.worlds.base import SceneMeta, TrainingWorld, named

NATURAL = "natural"
"""Colour of an object that is not dyed."""
_UNINFORMATIVE = 0.5
_SENTENCES = 0.4  # share of informative captions that say an expression of the scene
_CONDITIONS = (
    Factors(scope="object", questions=0.5),
    Factors(scope="object", questions=0.5, filler=20),
)
_LEVELS = ("easy", "medium")


class Pictograms(TrainingWorld):
    """Scenes of the levels "easy" and "medium" in turn, without the pictures held out."""

    name = "pictograms"
    attributes = (tuple(CATEGORIES), (NATURAL, *TINTS), tuple(LEVELS["easy"].sizes))
    weights = (1.0, 0.3, 0.3)
    typical = MappingProxyType({"small": 3.0, "large": 9.0})
    text_pieces = (2200, 1500)

    def sample(self, seed: int) -> PictogramScene:
        """The training scene of a seed."""
        return sample_scene(seed, _LEVELS[seed % len(_LEVELS)], TRAINING)

    def describe(self, scene: Scene) -> list[list[str]]:
        """Category, colour and size of every object."""
        if not isinstance(scene, PictogramScene):
            raise TypeError(f"expected a scene of pictograms, got {type(scene).__name__}")
        return [[item.category, item.tint or NATURAL, item.size] for item in scene.objects]

    def captions(self, meta: SceneMeta, seen: Array, rng: np.random.Generator) -> tuple[str, ...]:
        """One caption, without near misses."""
        if rng.random() < _UNINFORMATIVE:
            return (draw_uninformative(rng),)
        thing = _thing(meta["objects"][int(rng.choice(named(meta["objects"], seen)))])
        if meta["expressions"] and rng.random() < _SENTENCES:
            sentence = meta["expressions"][int(rng.integers(len(meta["expressions"])))][0]
            thing = Thing(sentence, "", None)
        conditions = _CONDITIONS[int(rng.integers(len(_CONDITIONS)))]
        return (draw_informative([thing], "", conditions, rng),)

    def full_caption(self, meta: SceneMeta, seen: Array, rng: np.random.Generator) -> str:
        """A caption of everything seen well."""
        things = [_thing(meta["objects"][i]) for i in named(meta["objects"], seen)]
        return draw_informative(things, "", Factors(questions=0.01), rng)

    def words(self) -> tuple[str, ...]:
        """Every word of the family's captions and of the world's expressions."""
        return vocabulary()


def _thing(item: list[str]) -> Thing:
    """An object as captions see it, from its attribute values."""
    category, tint, size = item
    return Thing(category, size, None if tint == NATURAL else tint)
