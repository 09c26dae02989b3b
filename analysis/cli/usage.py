"""Report in one line that an argument has the wrong type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import get_args, get_type_hints

from litelvlm.analysis.cli.options import Common

NUMBERS = {int: "a whole number", float: "a number"}


def wrong_type(name: str, verb: type[Common], arguments: Sequence[str], said: str) -> str:
    """What is wrong with the value of an option that takes numbers; empty if it is anything else.

    Args:
        name: Of the verb.
        verb: Its class; the types of its fields say what is allowed.
        arguments: Those behind the verb.
        said: What the parser prints. It is read for the name of the option alone.

    Example:
        >>> from litelvlm.analysis.cli.verbs.demo import Demo
        >>> wrong_type("demo", Demo, ["--port", "abc"], "Error parsing --port: no type matching")
        "--port 'abc' is not a whole number; give one, or leave --port out (`litelvlm demo --help`)"
    """
    found = re.search(r"Error parsing (--[\w-]+)", said)
    if found is None:
        return ""
    option = found[1]
    kinds = list(kinds_of(get_type_hints(verb).get(option[2:].replace("-", "_"))))
    wrong = [value for value in values_of(option, arguments) if not fits(value, kinds)]
    if not kinds or not wrong:
        return ""
    needed = NUMBERS[float if float in kinds else int]
    return (
        f"{option} {wrong[0]!r} is not {needed}; give one, or leave {option} out "
        f"(`litelvlm {name} --help`)"
    )


def kinds_of(annotation: object) -> Iterator[type[int] | type[float]]:
    """The types of numbers inside an annotation."""
    if annotation is int:
        yield int
    elif annotation is float:
        yield float
    for part in get_args(annotation):
        yield from kinds_of(part)


def values_of(option: str, arguments: Sequence[str]) -> Iterator[str]:
    """The values that follow an option, up to the next option.

    Example:
        >>> list(values_of("--budgets", ["--budgets", "48", "x", "--seed", "1"]))
        ['48', 'x']
    """
    inside = False
    for word in arguments:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            inside = name.replace("_", "-") == option
            if inside and equals:
                yield value
        elif inside:
            yield word


def fits(value: str, kinds: Sequence[type[int] | type[float]]) -> bool:
    """Whether a value is a number of one of these types."""
    for kind in kinds:
        try:
            kind(value)
        except ValueError:
            continue
        return True
    return False
