"""What the annotations of a method's fields allow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from numbers import Integral, Real
from typing import Annotated, Literal, cast, get_args, get_origin, get_type_hints

from litelvlm.names import check_name

# How an error message calls a number type.
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}
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


def check_field_values(cls: type, options: Mapping[str, object]) -> None:
    """Refuse a field value that the annotation of its class does not allow.

    Only ``Literal`` and number annotations are checked.

    Raises:
        ValueError: Naming the field, the value and what is allowed.
    """
    hints = _hints_of(cls)
    for name, value in options.items():
        hint = hints[name]
        bare = hint.__origin__ if get_origin(hint) is Annotated else hint
        if get_origin(bare) is Literal:
            _check_allowed(value, get_args(bare), name)
            continue
        kinds = get_args(bare) or (bare,)
        _check_number(value, tuple(getattr(kind, "__origin__", kind) for kind in kinds), name)
        for entry in (e for kind in (hint, *kinds) for e in getattr(kind, "__metadata__", ())):
            if value is not None and isinstance(entry, Bounds):
                entry.check(cast(float, value), name)


def _check_allowed(value: object, allowed: tuple[object, ...], what: str) -> None:
    """Refuse a value outside a closed set of options.

    Raises:
        ValueError: Naming the value and the options.
    """
    if isinstance(value, str) and all(isinstance(option, str) for option in allowed):
        check_name(value, [str(option) for option in allowed], what)
    if value not in allowed:
        raise ValueError(
            f"{what} {value!r} is not allowed; choose from {', '.join(map(repr, allowed))}"
        )


def _check_number(value: object, kinds: tuple[type, ...], what: str) -> None:
    """Refuse a value of none of the number types ``kinds``; fields of other types pass.

    Raises:
        ValueError: Naming the value and the types.
    """
    if not set(kinds) <= set(_WORDS):
        return
    accepted = tuple(_ACCEPTED.get(kind, kind) for kind in kinds)
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(
            f"{what} {value!r} is not allowed; give {' or '.join(_WORDS[kind] for kind in kinds)}"
        )
