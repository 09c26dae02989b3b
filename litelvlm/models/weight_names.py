"""Tables of tensor names, published checkpoint to model, read in both directions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


class OwnWeight(NamedTuple):
    """A place in the model: the component and the name in its ``state_dict``.

    A name that ends in "[2]" is row 2 of a weight that a checkpoint holds row by row.
    """

    component: str
    name: str


@dataclass(frozen=True)
class NameTable:
    """Where every tensor of a family's checkpoints goes.

    Attributes:
        family: What the checkpoint is of, for messages.
        rows: Published name, component, name in the component. "#" stands for an integer, "*" for
            the rest of the name; both are copied in their order. A published name may have several
            rows with one target: the first is written, each is read.
        ignored: Pattern of the published names that are not needed.
        twins: One tensor under two names of the model: the name that the checkpoint fills, and the
            other one.
        copies: Published names of a second copy of a weight, which a file may hold and which must
            equal the first.
    """

    family: str
    rows: Sequence[tuple[str, str, str]]
    ignored: str = r"(?!)"
    twins: Mapping[OwnWeight, OwnWeight] = field(default_factory=dict)
    copies: Mapping[str, OwnWeight] = field(default_factory=dict)

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str, str]]:
        return [(_compile(official), part, target) for official, part, target in self.rows]

    @cached_property
    def _reverse(self) -> list[tuple[str, re.Pattern[str], str]]:
        return [(part, _compile(target), official) for official, part, target in self.rows]

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components, in their order."""
        return tuple(dict.fromkeys(component for _, component, _ in self.rows))

    def held_by_row(self, place: OwnWeight) -> bool:
        """Whether a checkpoint holds a weight of the model row by row."""
        by_row = ((part, target) for _, part, target in self.rows if target.endswith("[#]"))
        return any(
            part == place.component and _compile(target.removesuffix("[#]")).fullmatch(place.name)
            for part, target in by_row
        )

    def target_of(self, official: str) -> OwnWeight | None:
        """The place of a published tensor, or None if it is not needed.

        A target in ``twins`` fills its twin as well.

        Args:
            official: Name in the published checkpoint.

        Raises:
            ValueError: If the name is unknown.
        """
        if official in self.copies or re.fullmatch(self.ignored, official):
            return None
        for pattern, component, target in self._forward:
            found = pattern.fullmatch(official)
            if found:
                return OwnWeight(component, _fill(target, found.groups()))
        raise ValueError(f"{official!r} is not a known weight of a {self.family} checkpoint")

    def official_name(self, target: OwnWeight) -> str | None:
        """The published name of a place, or None for the second name of a tensor with two.

        Raises:
            ValueError: If the component is unknown or holds nothing of that name.
        """
        if target in self.twins.values():
            return None
        for component, pattern, official in self._reverse:
            found = pattern.fullmatch(target.name) if component == target.component else None
            if found:
                return _fill(official, found.groups())
        raise ValueError(
            f"{target.name!r} of {target.component!r} has no name in a {self.family} checkpoint"
        )


def _compile(template: str) -> re.Pattern[str]:
    wild = {"#": r"(\d+)", "*": "(.+)"}
    return re.compile("".join(wild.get(c) or re.escape(c) for c in template))


def _fill(template: str, parts: tuple[str, ...]) -> str:
    values = iter(parts)
    return "".join(next(values) if c in "#*" else c for c in template)
