"""Names: closed tables, helpful refusals for what is not in them, and text safe to show."""

from collections.abc import Iterable
from difflib import get_close_matches
from unicodedata import category


def unknown_name(name: str, allowed: Iterable[str], what: str) -> ValueError:
    """Build the error for a name outside a closed table, with the nearest allowed names.

    Args:
        name: The name as given by the user.
        allowed: Every name that would have been accepted.
        what: The kind of thing that is named, in the singular ("pruner", "model", "split").

    Returns:
        A ``ValueError`` for the caller to raise.

    Example:
        >>> str(unknown_name("litelvm", ["litelvlm", "random"], "pruner"))
        "unknown pruner 'litelvm'; did you mean 'litelvlm'? Allowed: litelvlm, random"
    """
    choices = sorted(allowed)
    near = get_close_matches(name, choices, n=2)
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else "."
    return ValueError(f"unknown {what} {name!r}{hint} Allowed: {', '.join(choices)}")


def check_name(name: str, allowed: Iterable[str], what: str) -> str:
    """Return ``name`` if it is in the table.

    Raises:
        ValueError: If it is not; the message names the choices and near misses.
    """
    choices = list(allowed)
    if name not in choices:
        raise unknown_name(name, choices, what)
    return name


def printable(text: str) -> str:
    r"""A text that every terminal, XML file and page can show.

    Control characters and lone surrogates become the replacement character; line breaks and
    tabulators stay.

    Example:
        >>> printable("a\x07b")
        'a�b'
    """
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(sign) else sign for sign in text)


def _is_control(sign: str) -> bool:
    return sign in "\ufffe\uffff" or (sign not in "\n\t" and category(sign) in ("Cc", "Cs"))
