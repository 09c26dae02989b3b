"""Methods that a run left out at a budget they cannot keep to, read from the notes of its record."""

import re
from collections.abc import Sequence

_NOTE = re.compile(r"(?P<method>.+)@(?P<budget>\d+) is left out: (?P<reason>.+)", re.DOTALL)


def left_out(notes: Sequence[str]) -> dict[tuple[str, int], str]:
    """Why a method has no rows at a budget, by method and budget; other notes are passed over.

    Example:
        >>> left_out(["fastv@8 is left out: the smallest budget is 37", "image 3: memory ran out"])
        {('fastv', 8): 'the smallest budget is 37'}
    """
    found = filter(None, map(_NOTE.fullmatch, notes))
    return {(note["method"], int(note["budget"])): note["reason"] for note in found}


def joined_notes(notes: Sequence[str]) -> list[str]:
    """Notes of a record; those that leave methods or budgets out for reasons alike but for the budget become one.

    Example:
        >>> joined_notes(["a@16 is left out: 16 are too few", "image 3: slow", "a@8 is left out: 8 are too few"])
        ['image 3: slow', 'left out: a@16, a@8: 16/8 are too few']
    """
    alike: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for (method, budget), reason in left_out(notes).items():
        alike.setdefault(tuple(re.split(rf"\b{budget}\b", reason)), []).append((method, budget))
    told = [note for note in notes if not _NOTE.fullmatch(note)]
    for pieces, cells in alike.items():
        budgets = "/".join(dict.fromkeys(str(budget) for _, budget in cells))
        told.append(
            f"left out: {', '.join(f'{method}@{budget}' for method, budget in cells)}: {budgets.join(pieces)}"
        )
    return told
