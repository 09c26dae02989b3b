"""Why a claim is undetermined, and why methods were left out, in words."""

import math
import re
from collections.abc import Sequence

from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.outcome import Exclusion

FEW_NAMED = 6
"""Claims of one reason, or exclusions, that a sentence names; more are counted."""


def undetermined_reason(claim: Claim) -> str:
    """Why a claim is undetermined; empty if its verdict is another one.

    The interval is the widest that applies, as for the verdict. The reasons in the order in which
    they are looked for: too few images, no interval, an effect among the categories seen here that
    is open for others, an interval that holds the null, and one that leaves the margin around the
    null.
    """
    if claim.verdict != "undetermined":
        return ""
    if claim.clustered and claim.n_images < MIN_IMAGES:
        alone = claim.n_images == 1
        counted = f"1 {claim.unit[:-1]} is" if alone else f"{claim.n_images} {claim.unit} are"
        return f"{counted} fewer than the {MIN_IMAGES} that an interval needs"
    if not (math.isfinite(claim.low) and math.isfinite(claim.high)):
        return f"there is no interval ({claim.method})" if claim.method else "there is no interval"
    low, high = claim.widest
    if claim.seen_only:
        return (
            "settled for the categories seen here, open for others: only the interval over "
            f"{claim.unit} and categories {interval(low, high)} contains {number(claim.null)}"
        )
    if low <= claim.null <= high and not math.isfinite(claim.margin):
        return f"the interval contains {number(claim.null)}, the value without an effect"
    beside = not claim.clustered and not low <= claim.null <= high
    if beside and math.isfinite(claim.p_value):
        return (
            f"the interval lies beside {number(claim.null)}, but {claim.sample} with "
            f"p = {claim.p_value:.2g} are not enough for a verdict"
        )
    if math.isfinite(claim.margin):
        contained = "" if claim.null == 0 else f" of {number(claim.null)}"
        return (
            f"the interval {interval(low, high)} shows neither an effect nor that it "
            f"is smaller than {claim.margin:g}{contained}"
        )
    return f"{claim.n_images} {claim.unit} are too few"


def reasons_sentence(claims: Sequence[Claim]) -> str:
    """Why claims are undetermined, grouped by reason; empty if none is.

    Example:
        "Undetermined: H1 (12 images are fewer than the 20 that an interval needs)."
    """
    groups: dict[str, list[str]] = {}
    for claim in claims:
        if reason := undetermined_reason(claim):
            groups.setdefault(reason, []).append(claim.id)
    parts = [
        f"{', '.join(ids) if len(ids) <= FEW_NAMED else f'{len(ids)} claims'} ({reason})"
        for reason, ids in groups.items()
    ]
    return f"Undetermined: {'; '.join(parts)}." if parts else ""


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


def exclusions_in_short(excluded: Sequence[Exclusion]) -> list[str]:
    """The same lines where few are left out, else the methods alone.

    Example:
        >>> few = [Exclusion(method="a", budget=k, reason="too few") for k in range(7)]
        >>> exclusions_in_short(few)
        ['left out at 7 budgets: a; `litelvlm show -v` gives budgets and reasons']
    """
    if len(excluded) <= FEW_NAMED:
        return exclusion_lines(excluded)
    methods = ", ".join(dict.fromkeys(entry.method for entry in excluded))
    told = f"left out at {len(excluded)} budgets: {methods}"
    return [f"{told}; `litelvlm show -v` gives budgets and reasons"]
