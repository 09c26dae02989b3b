"""What a caption says about a scene, under the conditions of one training."""

from typing import NamedTuple

import numpy as np

from litelvlm.data.worlds.pictograms.places import WORDS as PLACE_WORDS
from litelvlm.models.glamm.prompting.prompts import QUESTIONS
from litelvlm.training.trainings.factors import Factors
from litelvlm.training.trainings.words import FILLERS, OPENINGS, REDUNDANT, TEMPLATE_WORDS

PLACE_NAMED = 0.7
"""Share of captions that name the place, where the scope includes it."""
ADJECTIVES = 0.3
"""Share of objects whose size, and of dyed ones whose colour, is said."""
_SHORTEST, _LONGEST = 2, 27  # words of a caption without content


class Thing(NamedTuple):
    """An object as captions see it.

    Attributes:
        category: Its name.
        size: "small" or "large".
        tint: Colour it is dyed with, or None.
    """

    category: str
    size: str
    tint: str | None


def draw_caption(
    things: list[Thing], place: str, factors: Factors, rng: np.random.Generator
) -> str:
    """One caption of a scene; now and then one that says nothing about it.

    Args:
        things: All objects of the scene, at least one.
        place: Name of its ground.
        factors: Conditions of the training.
        rng: Source of every choice.
    """
    if rng.random() < factors.uninformative:
        return draw_uninformative(rng)
    return draw_informative(things, place, factors, rng)


def draw_uninformative(rng: np.random.Generator) -> str:
    """Words of questions and fillers in random order: a sentence's length without its content."""
    pool = (*FILLERS, *TEMPLATE_WORDS)
    count = int(rng.integers(_SHORTEST, _LONGEST + 1))
    return " ".join(pool[i] for i in rng.integers(len(pool), size=count))


def draw_informative(
    things: list[Thing], place: str, factors: Factors, rng: np.random.Generator
) -> str:
    """One caption that says what the scope asks for."""
    order = rng.permutation(len(things))
    count = len(things)
    if factors.scope == "object":
        count = 1
    elif factors.scope == "some":
        count = int(rng.integers(1, len(things) + 1))
    named = [things[i] for i in order[:count]]
    long = factors.scope == "long"
    asked = rng.random() < factors.questions
    parts = [_phrase(thing, long, article=not asked, rng=rng) for thing in named]
    text = " and ".join(parts)
    if factors.scope in ("place", "long") and rng.random() < PLACE_NAMED:
        text = f"{text} {PLACE_WORDS[place]}"
    pattern = QUESTIONS[int(rng.integers(len(QUESTIONS)))] if asked else _opening(rng)
    sentence = pattern.format(text)
    if not factors.filler:
        return sentence
    extra = rng.integers(len(FILLERS), size=int(rng.integers(factors.filler + 1)))
    around = " ".join(FILLERS[i] for i in extra)
    return f"{around} {sentence}" if rng.random() < 0.5 else f"{sentence} {around}"


def _opening(rng: np.random.Generator) -> str:
    return OPENINGS[int(rng.integers(len(OPENINGS)))]


def _phrase(thing: Thing, long: bool, article: bool, rng: np.random.Generator) -> str:
    size = thing.size if rng.random() < ADJECTIVES else ""
    tint = thing.tint if thing.tint and rng.random() < ADJECTIVES else ""
    clause = REDUNDANT[int(rng.integers(len(REDUNDANT)))] if long else ""
    words = ("a" if article else "", size, tint, thing.category, clause)
    return " ".join(word for word in words if word)
