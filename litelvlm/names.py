"""Closed tables of names, and helpful refusals for names that are not in them."""

from collections.abc import Iterable
from difflib import get_close_matches


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
