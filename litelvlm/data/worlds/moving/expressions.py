"""Referring expressions about clips: by looks alone, by motion, or by the order of events."""

from collections.abc import Sequence
from dataclasses import dataclass

from litelvlm.data.worlds.base import Kind
from litelvlm.data.worlds.moving.objects import (
    ENTERS,
    LEAVES,
    MOTIONS,
    MovingObject,
    passage,
)
from litelvlm.data.worlds.pictograms.expressions import Description, descriptions
from litelvlm.data.worlds.referring import Attribute, Meaning, brief_phrases

APART = 2
"""Least number of frames between the first and the second, or the last two, that come or go."""


@dataclass(frozen=True)
class Motion:
    """An object among several of its looks by how it moves: "the dog going left"."""

    what: Description
    motion: str

    @property
    def topic(self) -> str:
        """The motion."""
        return self.motion

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()} {self.motion}"


@dataclass(frozen=True)
class Order:
    """An object among several of its looks by when it comes or goes: "the dog that leaves last".

    Attributes:
        what: Its looks.
        event: "enters" or "leaves".
        place: "first" or "last" of those that do; empty where it is the only one.
    """

    what: Description
    event: str
    place: str

    @property
    def topic(self) -> str:
        """Event and place."""
        return f"{self.event} {self.place}"

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()} that {self.event} {self.place}".strip()


def enumerate_expressions(
    objects: Sequence[MovingObject], side: int
) -> dict[Kind, list[tuple[Meaning, int]]]:
    """All clear expressions of a clip with their targets, by kind.

    Those of motion and order are about several objects that the same words describe.

    Args:
        objects: All objects of the clip.
        side: Of its frames in pixels.
    """
    found: dict[Kind, list[tuple[Meaning, int]]] = {"looks": [], "motion": [], "order": []}
    for what, bits in brief_phrases(descriptions([item.looks for item in objects])):
        alike = [i for i in range(len(objects)) if bits >> i & 1]
        if len(alike) == 1:
            found["looks"].append((Attribute(what), alike[0]))
            continue
        for motion in MOTIONS:
            moving = [i for i in alike if objects[i].motion == motion]
            if len(moving) == 1:
                found["motion"].append((Motion(what, motion), moving[0]))
        found["order"] += _orders(what, alike, objects, side)
    return found


def _orders(
    what: Description, alike: Sequence[int], objects: Sequence[MovingObject], side: int
) -> list[tuple[Meaning, int]]:
    """Clear expressions of order about objects of the same looks."""
    found: list[tuple[Meaning, int]] = []
    for event in (ENTERS, LEAVES):
        passages = {i: passage(objects[i], event, side) for i in alike}
        if not all(one.clear for one in passages.values()):
            continue
        times = sorted((one.frame, i) for i, one in passages.items() if one.frame is not None)
        if len(times) == 1:
            found.append((Order(what, event, ""), times[0][1]))
        elif len(times) > 1:
            (first, a), (second, _), (*_, (late, _), (last, z)) = times[0], times[1], times
            if second - first >= APART:
                found.append((Order(what, event, "first"), a))
            if last - late >= APART:
                found.append((Order(what, event, "last"), z))
    return found
