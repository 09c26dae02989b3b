"""Refusals of field values that a method's annotations do not allow."""

from collections.abc import Mapping
from functools import cache
from numbers import Integral, Real
from typing import Literal, get_args, get_origin, get_type_hints

from litelvlm.names import check_name

# How an error message calls a number type.
_WORDS = {int: "a whole number", float: "a number", type(None): "None"}
# A numpy number counts as one of Python's.
_ACCEPTED = {int: Integral, float: Real}


_hints_of = cache(get_type_hints)


def check_field_values(cls: type, options: Mapping[str, object]) -> None:
    """Refuse a field value that the annotation of its class does not allow.

    Only ``Literal`` and number annotations are checked.

    Raises:
        ValueError: Naming the field, the value and what is allowed.
    """
    hints = _hints_of(cls)
    for name, value in options.items():
        if get_origin(hints[name]) is Literal:
            check_allowed(value, get_args(hints[name]), name)
        else:
            check_number(value, get_args(hints[name]) or (hints[name],), name)


def check_allowed(value: object, allowed: tuple[object, ...], what: str) -> None:
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


def check_number(value: object, kinds: tuple[type, ...], what: str) -> None:
    """Refuse a value of none of the number types ``kinds``; fields of other types pass.

    Raises:
        ValueError: Naming the value and the types.
    """
    if not set(kinds) <= set(_WORDS):
        return
    accepted = tuple(_ACCEPTED.get(kind, kind) for kind in kinds)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(
            f"{what} {value!r} is not allowed; give {' or '.join(_WORDS[kind] for kind in kinds)}"
        )
