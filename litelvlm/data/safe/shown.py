"""Values from foreign files, short enough for a message."""

import reprlib

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
