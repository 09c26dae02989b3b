"""The page of the audit: statements from their files, differences from measured runs."""

from collections.abc import Sequence
from urllib.parse import quote

from litelvlm.analysis.pages.audit.measured import Difference, Measured
from litelvlm.analysis.pages.audit.statements import BASES, VERDICTS, Audited, Source, Statement
from litelvlm.analysis.pages.audit.text import found_for, verdict_counts
from litelvlm.analysis.runs.claims import ALPHA
from litelvlm.analysis.runs.formatting import markdown_lines, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE

COMMAND = "litelvlm audit --measure --limit 24 --budgets 48 16"


def audit_page(tables: Sequence[Audited], measured: Measured | None) -> str:
    """The page as Markdown.

    Args:
        tables: Methods of the audit.
        measured: Differences; None leaves that part out and says so.
    """
    parts = [_head(tables), _differing(tables)]
    parts += [_method(table) for table in tables]
    parts += [_measured(tables, measured), "Terms: [glossary](glossary.md)."]
    return "\n\n".join(parts) + "\n"


def _head(tables: Sequence[Audited]) -> str:
    counts = verdict_counts(tables)
    statements = sum(counts.values()) - counts["code alone"]
    return "\n".join(
        [
            "# Paper against code",
            "",
            "Made by `litelvlm audit --pages docs`. `litelvlm audit` prints the same, "
            "`--method NAME` one method, `--json` data.",
            "",
            f"{len(tables)} methods, {statements} statements of their papers, and "
            f"{counts['code alone']} decisions of the code alone.",
            "",
            "| verdict | entries | meaning |",
            "|---|---|---|",
            *(f"| {verdict} | {counts[verdict]} | {VERDICTS[verdict]} |" for verdict in VERDICTS),
            "",
            "How the paper's side is known:",
            "",
            *(f"- *{basis}*: {meaning}" for basis, meaning in BASES.items()),
            "",
            "A verdict rests on *seen* or *notes* only. Sections and equations are given as far as "
            "they are known. Code was read in stored public copies at the commit that is named. "
            "Line numbers were counted in that version. Where they could not be counted, the "
            "function is named.",
        ]
    )


def _differing(tables: Sequence[Audited]) -> str:
    found = [(table, s) for table in tables for s in table.statement if s.verdict == "differ"]
    lines = [
        f"- `{table.method}`, {statement.id}: {statement.claim} *The code:* {_code(statement)}"
        for table, statement in found
    ]
    notes = sum(statement.basis == "notes" for _, statement in found)
    caution = (
        f"A difference is no error: the code may be the version that was meant. In {notes} of "
        f"these {len(found)} entries the paper's side comes from this project's notes. Check the "
        "paper before you cite one."
    )
    return "\n".join(["## Where paper and code differ", "", caution, "", *lines])


def _code(statement: Statement) -> str:
    """What the code does, and what was said of it."""
    return f"{statement.code} *Told:* {statement.told}" if statement.told else statement.code


def _method(table: Audited) -> str:
    heads = ("entry", "the paper says", "where, known by", "the code does", "place", "verdict")
    rows = [
        (
            statement.id,
            statement.claim,
            f"{statement.where}; {statement.basis}",
            _code(statement),
            "<br>".join(_place(table, source) for source in statement.sources),
            statement.verdict,
        )
        for statement in table.statement
    ]
    note = [table.code_note, ""] if table.code_note else []
    return "\n".join(
        [
            f"## {table.method}",
            "",
            f"{table.paper}; code: `{table.repository}`.",
            "",
            *note,
            *markdown_lines([heads, *rows]),
        ]
    )


def _place(table: Audited, source: Source) -> str:
    repository = table.repository_of(source)
    anchor = f"#L{source.lines.split(', ')[0].replace('-', '-L')}" if source.lines else ""
    address = f"https://github.com/{repository}/blob/{source.commit}/{quote(source.file)}{anchor}"
    return f"[`{repository}` `{source.file}`, {source.place}, `{source.commit[:10]}`]({address})"


def _measured(tables: Sequence[Audited], measured: Measured | None) -> str:
    lines = ["## What the difference is worth here", ""]
    if measured is None:
        return "\n".join([*lines, f"Not measured yet; `{COMMAND}` measures it."])
    rows = [
        _row(one, statement.compared)
        for table in tables
        for statement in table.statement
        for one in found_for(measured, table, statement)
    ]
    heads = (
        *("method", "entry", "compared", "protocol", "tokens", "first", "second"),
        *("cIoU of both", "first minus second", "p, Holm"),
    )
    tested = sum(one.p is not None for one in measured.differences)
    note = [f"**Miniature.** {MINIATURE_NOTE}", ""] if measured.miniature else []
    return "\n".join(
        [
            *lines,
            *note,
            "The first is the released code's reading. The second is the paper's where both "
            "differ, and otherwise what the column *compared* names. The difference of cIoU is "
            "paired: both readings answer the same expressions. Intervals are 95 %, from "
            "resampling images, and are not adjusted. p is that of an image-level swap, adjusted "
            f"by Holm's method over all {tested} differences. With so few images a wide interval "
            "means that this run cannot tell, not that there is no difference. *Unpruned* is the "
            "same difference without pruning, where the readings are options of the model. In the "
            "protocol *single* a conversation holds one expression, in *conversation* all "
            "expressions of an image. Only a part of the images was read, so compare numbers "
            "within this table alone.",
            "",
            _settled(measured),
            "",
            _unmeasured(tables, measured),
            "",
            *markdown_lines([heads, *rows]),
            "",
            *_refused(measured),
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in _made(measured).items()),
        ]
    )


def _settled(measured: Measured) -> str:
    """Which differences are left after adjustment, in a sentence."""
    tested = [(one, one.p_holm) for one in measured.differences if one.p_holm is not None]
    left = [f"`{one.method}` {one.id} at {one.budget}" for one, p in tested if p <= ALPHA]
    told = f": {', '.join(left)}" if left else ""
    return f"**{len(left)} of {len(tested)} differences are left after the adjustment**{told}."


def _unmeasured(tables: Sequence[Audited], measured: Measured) -> str:
    """Which differing entries have no number here, in a sentence."""
    missing = [
        f"`{table.method}` {statement.id}"
        for table in tables
        for statement in table.statement
        if statement.verdict == "differ" and not found_for(measured, table, statement)
    ]
    if not missing:
        return "Every entry where paper and code differ was compared."
    return f"Not compared, since this suite has only one of both readings: {', '.join(missing)}."


def _row(one: Difference, compared: str) -> tuple[str, ...]:
    labels = (f"`{one.first}`", f"`{one.second}`")
    start = (one.method, one.id, compared, one.protocol, str(one.budget), *labels)
    if one.ciou is None or one.delta is None or one.p_holm is None:
        return (*start, "", "refused", "")
    both = " and ".join(f"{value:.3f}" for value in one.ciou)
    if one.same:
        return (*start, both, "same masks", "")
    ends = "" if one.low is None or one.high is None else f" [{one.low:.3f}, {one.high:.3f}]"
    whole = "" if one.unpruned is None else f" (unpruned: {one.unpruned:.3f})"
    return (*start, both, f"{one.delta:.3f}{ends}{whole}", number(one.p_holm))


def _refused(measured: Measured) -> list[str]:
    """Why readings have no number, each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in measured.differences:
        if one.refused:
            reasons.setdefault(one.refused, []).append(f"{one.method} {one.id} at {one.budget}")
    lines = [f"- {', '.join(places)}: {reason}" for reason, places in reasons.items()]
    return ["Refused:", "", *lines, ""] if lines else []


def _made(measured: Measured) -> dict[str, str]:
    return {
        "command": f"`{measured.command}`",
        "model": f"{measured.model}, weights {measured.weights}",
        "data": f"{measured.data}: {measured.n_images} images, {measured.n} expressions",
        "date": measured.date,
        "commit": measured.commit,
        "runs": ", ".join(f"`{run}`" for run in measured.runs),
    }
