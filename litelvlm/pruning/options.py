"""What the annotations of a method's fields allow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Literal, Union, cast, get_args, get_origin, get_type_hints

from litelvlm.names import unknown_name

# How an error message calls a type.
_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    type(None): "None",
}
# A numpy number counts as one of Python's.
_ACCEPTED = {int: Integral, float: Real}


@dataclass(frozen=True)
class Bounds:
    """Where a number must lie; written into the annotation of a field.

    Attributes:
        low: Smallest value.
        high: Largest value.
        without_low: ``low`` itself is refused.
        without_high: ``high`` itself is refused.
    """

    low: int | float
    high: int | float = inf
    without_low: bool = False
    without_high: bool = False

    def check(self, value: int | float, what: str) -> None:
        """Refuse a value outside, NaN included.

        Raises:
            ValueError: Naming the field, the value and the interval.
        """
        above = value > self.low if self.without_low else value >= self.low
        below = value < self.high if self.without_high else value <= self.high
        if not (above and below):
            left, right = "(" if self.without_low else "[", ")" if self.without_high else "]"
            raise ValueError(
                f"{what} {value!r} is not in {left}{self.low}, {self.high}{right}; give a number "
                "inside"
            )


Share = Annotated[float, Bounds(0, 1)]
ShareBelowOne = Annotated[float, Bounds(0, 1, without_high=True)]
ShareAboveZero = Annotated[float, Bounds(0, 1, without_low=True)]
NotNegative = Annotated[float, Bounds(0, without_high=True)]
FromZero = Annotated[int, Bounds(0, without_high=True)]
FromOne = Annotated[int, Bounds(1, without_high=True)]

_hints_of = cache(partial(get_type_hints, include_extras=True))


def kinds_of(hint: object) -> tuple[object, ...]:
    """The annotations that a union allows, bounds left out; of another annotation itself."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    kinds = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    return tuple(get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)


def choices_of(hint: object) -> tuple[object, ...]:
    """The values that an annotation names."""
    return tuple(c for k in kinds_of(hint) if get_origin(k) is Literal for c in get_args(k))


def check_field_values(cls: type, options: Mapping[str, object]) -> None:
    """Refuse a field value that the annotation of its class does not allow.

    Only ``Literal``, number and text annotations, and unions of them, are checked.

    Raises:
        ValueError: Naming the field, the value and what is allowed.
    """
    for name, value in options.items():
        hint = _hints_of(cls)[name]
        named = choices_of(hint)
        kinds = tuple(kind for kind in kinds_of(hint) if get_origin(kind) is not Literal)
        if (value is None and type(None) in kinds) or any(_is(value, choice) for choice in named):
            continue
        if set(kinds) <= {type(None)}:
            raise _not_named(value, named, name)
        _check_kind(value, kinds, named, name)
        parts = (hint, *get_args(hint))
        for entry in (e for part in parts for e in getattr(part, "__metadata__", ())):
            if isinstance(entry, Bounds):
                entry.check(cast(float, value), name)


def _is(value: object, choice: object) -> bool:
    """Whether a value is a named one; 8.0 is not 8, and True is not 1."""
    kind = _ACCEPTED.get(type(choice), type(choice))
    alike = isinstance(value, kind) and isinstance(value, bool) == isinstance(choice, bool)
    return alike and value == choice


def _not_named(value: object, named: tuple[object, ...], what: str) -> ValueError:
    """The error for a value outside a closed set of options."""
    if isinstance(value, str) and all(isinstance(choice, str) for choice in named):
        return unknown_name(value, [str(choice) for choice in named], what)
    return ValueError(f"{what} {value!r} is not allowed; choose from {', '.join(map(repr, named))}")


def _check_kind(
    value: object, kinds: tuple[object, ...], named: tuple[object, ...], what: str
) -> None:
    """Refuse a value of none of the types ``kinds``; fields with a type that has no word pass.

    Raises:
        ValueError: Naming the value, the types and the values that have a name.
    """
    words = [_WORDS[kind] for kind in kinds if kind in _WORDS]
    if len(words) < len(kinds):
        return
    accepted = tuple(_ACCEPTED.get(kind, kind) for kind in cast(tuple[type, ...], kinds))
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in kinds):
        allowed = " or ".join([*words, *map(repr, named)])
        raise ValueError(f"{what} {value!r} is not allowed; give {allowed}")
