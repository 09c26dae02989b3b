"""Referring expressions about pictograms: their noun phrases and their enumeration."""

from collections.abc import Sequence
from dataclasses import dataclass

from litelvlm.data.worlds.base import Kind
from litelvlm.data.worlds.pictograms.objects import Level, SceneObject
from litelvlm.data.worlds.referring import Meaning, clear_expressions


@dataclass(frozen=True)
class Description:
    """What an object must be; None leaves an attribute open. "the small red dog"."""

    category: str
    tint: str | None = None
    size: str | None = None

    @property
    def modifiers(self) -> int:
        """Number of adjectives."""
        return (self.tint is not None) + (self.size is not None)

    def words(self) -> str:
        """Adjectives and noun without the article, size before colour."""
        return " ".join(word for word in (self.size, self.tint, self.category) if word)


def descriptions(objects: Sequence[SceneObject]) -> dict[Description, int]:
    """Every description that fits something, with the set of objects it fits as a bit mask.

    Natural colours have names too: a red car need not be dyed. So colours are named only where all
    objects of the category are dyed.
    """
    natural = {item.category for item in objects if item.tint is None}
    found: dict[Description, int] = {}
    for i, item in enumerate(objects):
        tints = (None,) if item.category in natural else (None, item.tint)
        for tint in tints:
            for size in (None, item.size):
                key = Description(item.category, tint, size)
                found[key] = found.get(key, 0) | 1 << i
    return found


def enumerate_expressions(
    objects: Sequence[SceneObject], level: Level, allowed: Sequence[bool]
) -> dict[Kind, list[tuple[Meaning, int]]]:
    """All clear expressions of a scene with their targets, by kind.

    Args:
        objects: All objects.
        level: Gives the margin and the relations in use.
        allowed: Objects that may be a target or an anchor (those CLIP can see enough of).
    """
    clear = clear_expressions(
        descriptions(objects),
        [item.centre for item in objects],
        allowed,
        level.relations,
        level.margin * level.short_side,
    )
    names = [item.category for item in objects]
    return {
        "category": [(m, i) for m, i in clear.attribute if not m.what.modifiers],
        # Adjectives count where another object of the category makes them necessary.
        "attribute": [(m, i) for m, i in clear.attribute if names.count(m.what.category) > 1],
        "place": [*clear.place],
        "relation": [*clear.relation],
    }
