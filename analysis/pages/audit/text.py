"""The audit as plain text for a terminal, and as data."""

from collections.abc import Sequence
from typing import NamedTuple

from litelvlm.analysis.pages.audit.draws import Draws
from litelvlm.analysis.pages.audit.measured import AuditResults, Difference
from litelvlm.analysis.pages.audit.statements import AUDIT_VERDICTS, Audited, Statement
from litelvlm.analysis.runs.formatting import interval, number


def found_for(
    measured: AuditResults | None, table: Audited, statement: Statement
) -> tuple[Difference, ...]:
    """The differences that were measured for a statement."""
    return tuple(
        one
        for one in (measured.differences if measured else ())
        if (one.method, one.id) == (table.method, statement.id)
    )


def draws_for(
    measured: AuditResults | None, table: Audited, statement: Statement
) -> tuple[Draws, ...]:
    """The scores of repeated draws that were measured for a statement."""
    return tuple(
        one
        for one in (measured.draws if measured else ())
        if (one.method, one.id) == (table.method, statement.id)
    )


class Coverage(NamedTuple):
    """How many entries have a measured paired difference.

    Attributes:
        statements: Of the statements of papers.
        decisions: Of the decisions of the code alone.
        drawn: Entries with repeated draws instead.
    """

    statements: int
    decisions: int
    drawn: int


def coverage(tables: Sequence[Audited], measured: AuditResults | None) -> Coverage:
    """Entries with a number: at one budget at least, both readings were measured."""
    alone = [
        statement.verdict == "code alone"
        for table in tables
        for statement in table.statement
        if any(one.delta is not None for one in found_for(measured, table, statement))
    ]
    drawn = sum(
        bool(draws_for(measured, table, statement))
        for table in tables
        for statement in table.statement
    )
    return Coverage(len(alone) - sum(alone), sum(alone), drawn)


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
    if one.delta is None or one.p is None:
        return f"{one.budget}: refused"
    if one.same:
        return f"{one.budget}: same masks"
    ends = "" if one.low is None or one.high is None else f" {interval(one.low, one.high)}"
    return f"{one.budget}: {number(one.delta)}{ends}"


def verdict_counts(tables: Sequence[Audited]) -> dict[str, int]:
    """Statements by verdict, in the order of ``AUDIT_VERDICTS``."""
    verdicts = [statement.verdict for table in tables for statement in table.statement]
    return {verdict: verdicts.count(verdict) for verdict in AUDIT_VERDICTS}


def summary_line(tables: Sequence[Audited]) -> str:
    """How many methods and statements, and their verdicts."""
    counts = verdict_counts(tables)
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    methods = "method" if len(tables) == 1 else "methods"
    return f"{len(tables)} {methods}, {sum(counts.values())} entries: {told}"


def audit_text(tables: Sequence[Audited], measured: AuditResults | None) -> str:
    """All statements, each with its verdict, its places and what was measured."""
    lines = [summary_line(tables)]
    if measured is not None:
        lines.append(
            f"differences of cIoU, first minus second reading: {measured.model} on "
            f"{measured.data}, {measured.n_images} images, {measured.n} expressions; "
            "intervals are 95 %, not adjusted"
        )
    for table in tables:
        lines += ["", f"{table.method} ({table.paper}; {table.repository})"]
        if table.code_note:
            lines.append(f"  {table.code_note}")
        for statement in table.statement:
            lines += [
                f"  {statement.id}  {statement.verdict.upper()}",
                f"      paper: {statement.claim} ({statement.where}; {statement.basis})",
                f"      code:  {statement.code}",
            ]
            if statement.told:
                lines.append(f"      told:  {statement.told}")
            for source in statement.sources:
                repository = table.repository_of(source)
                lines.append(
                    f"             {repository} {source.file}, {source.place}, {source.commit[:7]}"
                )
            differences = found_for(measured, table, statement)
            if differences:
                head = differences[0]
                told = "; ".join(map(difference_text, differences))
                lines += [
                    f"      {statement.compared}; {head.protocol} protocol:",
                    f"      {head.first} minus {head.second}: {told}",
                ]
            drawn = draws_for(measured, table, statement)
            if drawn:
                lines.append(f"      {statement.compared}; cIoU:")
            lines += [f"      {draws_text(one)}" for one in drawn]
            if statement.unmeasured:
                lines.append(f"      no number: {statement.unmeasured}")
    return "\n".join(lines) + "\n"


def audit_data(tables: Sequence[Audited], measured: AuditResults | None) -> dict[str, object]:
    """The same as plain data."""
    known = {table.method for table in tables}
    found: dict[str, object] = {"methods": [table.model_dump(mode="json") for table in tables]}
    if measured is not None:
        kept = {
            "differences": tuple(one for one in measured.differences if one.method in known),
            "draws": tuple(one for one in measured.draws if one.method in known),
        }
        found["measured"] = measured.model_copy(update=kept).model_dump(mode="json")
    return found
