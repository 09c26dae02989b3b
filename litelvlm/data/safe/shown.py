"""Values from foreign files, and what is wrong with them, short enough for a message."""

import reprlib

from pydantic import ValidationError

from litelvlm.names import printable

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 60, 60, 40


def shown(value: object) -> str:
    """What a value looks like, in about a hundred characters at most.

    Example:
        >>> shown("x" * 100), shown([[[[1]]]])
        ("'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'", '[[[[...]]]]')
    """
    text = _SHORT.repr(value)
    return text if len(text) <= 120 else f"{text[:58]}...{text[-58:]}"


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with foreign data: its place, what is expected, its value."""
    entry = error.errors(include_url=False)[0]
    place = ".".join(map(str, entry["loc"]))
    return f"{place}: {entry['msg'].removeprefix('Value error, ')} ({shown(entry['input'])})"


def first_line(error: BaseException) -> str:
    """What an error says first, in at most 300 characters; its name if it says nothing."""
    return printable((str(error).splitlines() or [type(error).__name__])[0][:300])
