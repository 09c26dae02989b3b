"""The audit and the outside numbers as plain text for a terminal, and as data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from litelvlm.analysis.pages.audit.entries import Audited, AuditVerdict, OutsideNumber, Statement
from litelvlm.analysis.pages.audit.measure import AuditResults, Difference, Draws
from litelvlm.analysis.runs.formatting import interval, number


def found_for(
    measured: AuditResults, table: Audited, statement: Statement
) -> tuple[list[Difference], list[Draws]]:
    """The differences, and the scores of repeated draws, that were measured for a statement."""
    wanted = (table.method, statement.id)
    return (
        [one for one in measured.differences if (one.method, one.id) == wanted],
        [one for one in measured.draws if (one.method, one.id) == wanted],
    )


def draws_text(one: Draws) -> str:
    """Scores of repeated draws in words.

    Example:
        >>> draws_text(Draws(method="m", id="i", budget=8, reading="m", ciou=(0.25, 0.75)))
        'm at 8: 2 runs from 0.25 to 0.75, standard deviation 0.354 [0.158, 11.3]'
    """
    ends = interval(*one.interval)
    return (
        f"{one.reading} at {one.budget}: {len(one.ciou)} runs from {number(min(one.ciou))} to "
        f"{number(max(one.ciou))}, standard deviation {number(one.deviation)} {ends}"
    )


def difference_text(one: Difference) -> str:
    """A difference in words, without its readings.

    Example:
        >>> common = {"method": "m", "id": "i", "protocol": "single", "first": "a", "second": "b"}
        >>> difference_text(Difference(**common, budget=8, refused="too few"))
        '8: refused'
    """
    if one.delta is None:
        return f"{one.budget}: refused"
    if one.same:
        return f"{one.budget}: same masks"
    ends = "" if one.low is None or one.high is None else f" {interval(one.low, one.high)}"
    return f"{one.budget}: {number(one.delta)}{ends}"


def audit_text(tables: Sequence[Audited], measured: AuditResults) -> str:
    """All statements, each with its verdict, its places and what was measured."""
    counts = Counter(statement.verdict for table in tables for statement in table.statement)
    known = [f"{counts[one]} {one}" for one in get_args(AuditVerdict) if counts[one]]
    lines = [
        f"methods: {len(tables)}; entries: {counts.total()} ({', '.join(known)})",
        f"differences of cIoU, first minus second reading: {measured.model} on {measured.data}, "
        f"{measured.n_images} images, {measured.n} expressions; intervals are 95 %, not adjusted",
    ]
    for table in tables:
        lines += ["", f"{table.method} ({table.paper}; {table.repository})"]
        lines += [f"  {table.code_note}"] if table.code_note else []
        for statement in table.statement:
            lines += _statement_lines(table, statement)
            lines += _measured_lines(statement, *found_for(measured, table, statement))
    return "\n".join(lines) + "\n"


def _statement_lines(table: Audited, statement: Statement) -> Iterator[str]:
    yield f"  {statement.id}  {statement.verdict.upper()}"
    yield f"      paper: {statement.claim} ({statement.where}; {statement.basis})"
    yield f"      code:  {statement.code}"
    if statement.told:
        yield f"      told:  {statement.told}"
    for source in statement.sources:
        repository = source.repository or table.repository
        yield f"             {repository} {source.file}:{source.lines}, {source.commit[:7]}"


def _measured_lines(
    statement: Statement, differences: Sequence[Difference], drawn: Sequence[Draws]
) -> Iterator[str]:
    if differences:
        head = differences[0]
        yield f"      {statement.compared}; {head.protocol} protocol:"
        told = "; ".join(map(difference_text, differences))
        yield f"      {head.first} minus {head.second}: {told}"
    if drawn:
        yield f"      {statement.compared}; cIoU:"
    for one in drawn:
        yield f"      {draws_text(one)}"
    if statement.unmeasured:
        yield f"      no number: {statement.unmeasured}"


def audit_data(tables: Sequence[Audited], measured: AuditResults) -> dict[str, object]:
    """The same as plain data."""
    known = {table.method for table in tables}
    kept = {
        "differences": tuple(one for one in measured.differences if one.method in known),
        "draws": tuple(one for one in measured.draws if one.method in known),
    }
    return {
        "methods": [table.model_dump(mode="json") for table in tables],
        "measured": measured.model_copy(update=kept).model_dump(mode="json"),
    }


def outside_text(numbers: Sequence[OutsideNumber]) -> str:
    """Numbers that others published, each with our command for it."""
    lines = []
    for entry in numbers:
        told = entry.model_dump()
        lines.append(f"{told.pop('id')}: {told.pop('title')}")
        lines += [f"  {name:<9}  {text}" for name, text in told.items()]
        lines.append("")
    return "\n".join(lines)
