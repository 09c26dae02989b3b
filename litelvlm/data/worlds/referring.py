"""Sentences that mean one object by words alone, by an extreme place, or seen from another object.

Here stands what all worlds share: the three forms, what a place and a relation mean, and the search
for every sentence that is clear. A world brings the noun phrases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import NDArray

PLACES = {"leftmost": (0, 1.0), "rightmost": (0, -1.0), "topmost": (1, 1.0), "bottom": (1, -1.0)}
RELATIONS = {"left of": (0, 1.0), "right of": (0, -1.0), "above": (1, 1.0), "below": (1, -1.0)}
"""Axis (0 = x, 1 = y, growing right and down) and sign that makes the wanted side small."""
NEAREST = "nearest to"

Point = tuple[float, float]


@runtime_checkable
class Phrase(Protocol):
    """A noun with adjectives; equal phrases mean the same."""

    @property
    def modifiers(self) -> int:
        """Number of adjectives."""

    def words(self) -> str:
        """Adjectives and noun without the article."""


P = TypeVar("P", bound=Phrase)


@runtime_checkable
class Meaning(Protocol):
    """What a sentence says, apart from its words."""

    @property
    def topic(self) -> str:
        """What it is about besides the looks of its object; empty for looks alone."""

    @property
    def sentence(self) -> str:
        """The expression in words."""


@dataclass(frozen=True)
class Attribute(Generic[P]):
    """Words alone: "the small red circle"."""

    what: P
    topic = ""

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()}"


@dataclass(frozen=True)
class Place(Generic[P]):
    """An extreme among objects of one kind: "the leftmost red circle"."""

    what: P
    place: str

    @property
    def topic(self) -> str:
        """The place."""
        return self.place

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.place} {self.what.words()}"


@dataclass(frozen=True)
class Relation(Generic[P]):
    """Seen from another object, the anchor: "the circle left of the blue square"."""

    what: P
    relation: str
    anchor: P

    @property
    def topic(self) -> str:
        """The relation."""
        return self.relation

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()} {self.relation} the {self.anchor.words()}"


@dataclass(frozen=True)
class ClearExpressions(Generic[P]):
    """Every expression of a scene that means one object only, with the index of that object."""

    attribute: list[tuple[Attribute[P], int]]
    place: list[tuple[Place[P], int]]
    relation: list[tuple[Relation[P], int]]


def clear_expressions(
    described: Mapping[P, int],
    centres: Sequence[Point],
    allowed: Sequence[bool],
    relations: Sequence[str],
    margin: float,
) -> ClearExpressions[P]:
    """All clear expressions of a scene, by form.

    Args:
        described: Every noun phrase that fits something, with the objects it fits as a bit mask.
        centres: (x, y) of every object in pixels.
        allowed: Objects that may be a target or an anchor.
        relations: Relations in use.
        margin: Gap in pixels that makes a place or a relation clear.
    """
    brief = brief_phrases(described)
    usable = sum(1 << i for i, ok in enumerate(allowed) if ok)
    single = [(what, who) for what, who in brief if who & (who - 1) == 0 and who & usable]
    several = [(what, who) for what, who in brief if who & (who - 1)]
    places = np.asarray(centres, dtype=np.float64).reshape(-1, 2)
    return ClearExpressions(
        [(Attribute(what), who.bit_length() - 1) for what, who in single],
        _clear_places(several, places, usable, margin),
        _clear_relations(single, several, places, usable, relations, margin),
    )


def brief_phrases(described: Mapping[P, int]) -> list[tuple[P, int]]:
    """Phrases with at most one adjective more than the shortest one of the same objects."""
    least: dict[int, int] = {}
    for what, who in described.items():
        least[who] = min(least.get(who, 9), what.modifiers)
    return [(what, who) for what, who in described.items() if what.modifiers <= least[who] + 1]


def _clear_places(
    several: Sequence[tuple[P, int]],
    centres: Float[NDArray[np.float64], "n 2"],
    usable: int,
    margin: float,
) -> list[tuple[Place[P], int]]:
    found = []
    for name, (axis, sign) in PLACES.items():
        # Row i: the objects that are at least a margin further than i.
        beyond = _bits(sign * (centres[None, :, axis] - centres[:, None, axis]) >= margin)
        for what, who in several:
            for i, behind in enumerate(beyond):
                if who & usable & 1 << i and who & ~(1 << i) & ~behind == 0:
                    found.append((Place(what, name), i))
    return found


def _clear_relations(
    single: Sequence[tuple[P, int]],
    several: Sequence[tuple[P, int]],
    centres: Float[NDArray[np.float64], "n 2"],
    usable: int,
    relations: Sequence[str],
    margin: float,
) -> list[tuple[Relation[P], int]]:
    found = []
    shift = centres[None, :, :] - centres[:, None, :]  # [anchor, object, axis]
    # Length as sqrt of a plain sum: the same bits on every machine.
    distance = np.sqrt(shift[..., 0] ** 2 + shift[..., 1] ** 2)
    for name in relations:
        if name in RELATIONS:
            axis, sign = RELATIONS[name]
            clear, possible = (
                _bits(sign * shift[..., axis] < -margin),
                _bits(sign * shift[..., axis] < margin),
            )
        for anchor_what, anchor_who in single:
            a = anchor_who.bit_length() - 1
            for what, who in several:
                others = who & ~anchor_who
                if others & (others - 1) == 0:
                    continue
                if name == NEAREST:
                    order = sorted(
                        (distance[a, i], i) for i in range(len(centres)) if others >> i & 1
                    )
                    hit = 1 << order[0][1] if order[1][0] - order[0][0] > margin else 0
                else:
                    hit = others & clear[a]
                    if hit & (hit - 1) or hit != others & possible[a]:
                        continue
                if hit & usable:
                    found.append((Relation(what, name, anchor_what), hit.bit_length() - 1))
    return found


def _bits(rows: NDArray[np.bool_]) -> list[int]:
    """Each boolean row as an integer, element i in bit i."""
    return [int(value) for value in rows @ (1 << np.arange(rows.shape[-1]))]
