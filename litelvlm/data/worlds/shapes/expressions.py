"""Referring expressions of a scene: their structure, their meaning and their enumeration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from litelvlm.data.worlds.base import Kind
from litelvlm.data.worlds.shapes.objects import Level, SceneObject

PLACES = {"leftmost": (0, 1.0), "rightmost": (0, -1.0), "topmost": (1, 1.0), "bottom": (1, -1.0)}
RELATIONS = {"left of": (0, 1.0), "right of": (0, -1.0), "above": (1, 1.0), "below": (1, -1.0)}
"""Axis (0 = x, 1 = y, growing right and down) and sign that makes the wanted side small."""
NEAREST = "nearest to"


@dataclass(frozen=True)
class Description:
    """Attributes an object must have; None leaves one open. "the small red circle"."""

    shape: str
    colour: str | None = None
    size: str | None = None
    texture: str | None = None

    @property
    def modifiers(self) -> int:
        """Number of adjectives."""
        return sum(value is not None for value in (self.colour, self.size, self.texture))

    def words(self) -> str:
        """Adjectives and noun without the article, size before texture before colour."""
        return " ".join(word for word in (self.size, self.texture, self.colour, self.shape) if word)


@dataclass(frozen=True)
class Attribute:
    """Attributes alone: "the small red circle"."""

    what: Description

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()}"


@dataclass(frozen=True)
class Place:
    """An extreme among objects of one kind: "the leftmost red circle"."""

    what: Description
    place: str

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.place} {self.what.words()}"


@dataclass(frozen=True)
class Relation:
    """Seen from another object, the anchor: "the circle left of the blue square"."""

    what: Description
    relation: str
    anchor: Description

    @property
    def sentence(self) -> str:
        """The expression in words."""
        return f"the {self.what.words()} {self.relation} the {self.anchor.words()}"


Meaning = Attribute | Place | Relation


def topic(meaning: Meaning) -> str:
    """The place or relation an expression is about; empty for attributes."""
    if isinstance(meaning, Place):
        return meaning.place
    return meaning.relation if isinstance(meaning, Relation) else ""


def _descriptions(objects: Sequence[SceneObject], level: Level) -> dict[Description, int]:
    """Every description that fits something, with the set of objects it fits as a bit mask."""
    found: dict[Description, int] = {}
    switches = list(
        product(
            (False, True), (False, True), (False, True) if len(level.textures) > 1 else (False,)
        )
    )
    for i, item in enumerate(objects):
        for colour, size, texture in switches:
            key = Description(
                item.shape,
                item.colour if colour else None,
                item.size if size else None,
                item.texture if texture else None,
            )
            found[key] = found.get(key, 0) | 1 << i
    return found


def _bits(rows: NDArray[np.bool_]) -> list[int]:
    """Each boolean row as an integer, element i in bit i."""
    return [int(value) for value in rows @ (1 << np.arange(rows.shape[-1]))]


def _brief(found: dict[Description, int]) -> Iterator[tuple[Description, int]]:
    """Descriptions with at most one adjective more than the shortest one of the same objects."""
    least: dict[int, int] = {}
    for what, who in found.items():
        least[who] = min(least.get(who, 9), what.modifiers)
    return ((what, who) for what, who in found.items() if what.modifiers <= least[who] + 1)


def enumerate_expressions(
    objects: Sequence[SceneObject], level: Level, allowed: Sequence[bool]
) -> dict[Kind, list[tuple[Meaning, int]]]:
    """All clear expressions of a scene with their targets, by kind.

    An expression is clear if it means its target alone, and the level's margin lies between the
    target and every other object that it describes.

    Args:
        objects: All objects.
        level: Gives the margin and the relations in use.
        allowed: Objects that may be a target or an anchor (those CLIP can see enough of).
    """
    margin = level.margin * level.short_side
    described = list(_brief(_descriptions(objects, level)))
    usable = sum(1 << i for i, ok in enumerate(allowed) if ok)
    found: dict[Kind, list[tuple[Meaning, int]]] = {"attribute": [], "place": [], "relation": []}

    single = [(what, who) for what, who in described if who & (who - 1) == 0 and who & usable]
    several = [(what, who) for what, who in described if who & (who - 1)]
    for what, who in single:
        i = who.bit_length() - 1
        if any(
            j != i and (o.shape == what.shape or o.colour == objects[i].colour)
            for j, o in enumerate(objects)
        ):
            found["attribute"].append((Attribute(what), i))

    centres = np.array([item.centre for item in objects])  # [n, 2]
    for name, (axis, sign) in PLACES.items():
        # Row i: the objects that are at least a margin further than i.
        beyond = _bits(sign * (centres[None, :, axis] - centres[:, None, axis]) >= margin)
        for what, who in several:
            for i, behind in enumerate(beyond):
                if who & usable & 1 << i and who & ~(1 << i) & ~behind == 0:
                    found["place"].append((Place(what, name), i))

    shift = centres[None, :, :] - centres[:, None, :]  # [anchor, object, axis]
    # Length as sqrt of a plain sum: the same bits on every machine.
    distance = np.sqrt(shift[..., 0] ** 2 + shift[..., 1] ** 2)
    for name in level.relations:
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
                        (distance[a, i], i) for i in range(len(objects)) if others >> i & 1
                    )
                    hit = 1 << order[0][1] if order[1][0] - order[0][0] > margin else 0
                else:
                    hit = others & clear[a]
                    if hit & (hit - 1) or hit != others & possible[a]:
                        continue
                if hit & usable:
                    found["relation"].append(
                        (Relation(what, name, anchor_what), hit.bit_length() - 1)
                    )
    return found


def vocabulary(level: Level) -> tuple[str, ...]:
    """Every word an expression of this level can contain, sorted."""
    words = {"the", *level.shapes, *level.colours, *level.sizes, *PLACES}
    words.update(word for relation in level.relations for word in relation.split())
    if len(level.textures) > 1:
        words.update(level.textures)
    return tuple(sorted(words))
