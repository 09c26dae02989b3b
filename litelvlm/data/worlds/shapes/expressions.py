"""Referring expressions about shapes: their noun phrases and their enumeration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from litelvlm.data.worlds.base import Kind
from litelvlm.data.worlds.referring import Meaning, clear_expressions
from litelvlm.data.worlds.shapes.objects import Level, SceneObject


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
        _descriptions(objects, level),
        [item.centre for item in objects],
        allowed,
        level.relations,
        level.margin * level.short_side,
    )
    # Without an object that shares the shape or the colour there is nothing to tell apart.
    rivalled = [
        (meaning, i)
        for meaning, i in clear.attribute
        if any(
            j != i and (o.shape == meaning.what.shape or o.colour == objects[i].colour)
            for j, o in enumerate(objects)
        )
    ]
    return {
        "attribute": [*rivalled],
        "place": [*clear.place],
        "relation": [*clear.relation],
    }
