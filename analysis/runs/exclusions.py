"""Methods that a run left out at a budget that they cannot keep to, for tables and texts."""

import re
from collections.abc import Sequence

from litelvlm.analysis.runs.outcome import Exclusion


def reasons(excluded: Sequence[Exclusion]) -> dict[tuple[str, int], str]:
    """Why a method has no rows at a number of tokens, by method and budget; shares are left out.

    Example:
        >>> reasons([Exclusion(method="fastv", budget=8, reason="the smallest budget is 37")])
        {('fastv', 8): 'the smallest budget is 37'}
    """
    return {
        (entry.method, entry.budget): entry.reason
        for entry in excluded
        if isinstance(entry.budget, int)
    }


def exclusion_lines(excluded: Sequence[Exclusion]) -> list[str]:
    """One line for all methods and budgets whose reasons are alike but for the budget.

    Example:
        >>> exclusion_lines(
        ...     [Exclusion(method="a", budget=k, reason=f"{k} are too few") for k in (16, 8)]
        ... )
        ['left out: a@16, a@8: 16/8 are too few']
    """
    alike: dict[tuple[str, ...], list[Exclusion]] = {}
    for entry in excluded:
        pieces = tuple(re.split(rf"\b{re.escape(str(entry.budget))}\b", entry.reason))
        alike.setdefault(pieces, []).append(entry)
    lines = []
    for pieces, entries in alike.items():
        budgets = "/".join(dict.fromkeys(str(entry.budget) for entry in entries))
        cells = ", ".join(f"{entry.method}@{entry.budget}" for entry in entries)
        lines.append(f"left out: {cells}: {budgets.join(pieces)}")
    return lines
