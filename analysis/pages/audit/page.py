"""The page of the audit: statements from their files, differences from measured runs."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from litelvlm.analysis.pages.audit.draws import Draws
from litelvlm.analysis.pages.audit.measured import AuditResults, Difference
from litelvlm.analysis.pages.audit.statements import (
    AUDIT_VERDICTS,
    BASES,
    Audited,
    Source,
    Statement,
)
from litelvlm.analysis.pages.audit.text import coverage, draws_for, found_for, verdict_counts
from litelvlm.analysis.pages.wrapping import wrapped_page
from litelvlm.analysis.runs.claims import ALPHA
from litelvlm.analysis.runs.formatting import interval, markdown_lines, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE

COMMAND = "litelvlm audit --measure --limit 24 --budgets 48 16"


def audit_page(tables: Sequence[Audited], measured: AuditResults | None) -> str:
    """The page as Markdown.

    Args:
        tables: Methods of the audit.
        measured: Differences; None leaves that part out and says so.
    """
    parts = [_head(tables, measured), _differing(tables)]
    parts += [_method(table) for table in tables]
    parts += [_measured(tables, measured), "Terms: [glossary](glossary.md)."]
    return wrapped_page("\n\n".join(parts) + "\n")


def _head(tables: Sequence[Audited], measured: AuditResults | None) -> str:
    counts = verdict_counts(tables)
    statements = sum(counts.values()) - counts["code alone"]
    judged = statements - counts["not verified"]
    by_basis = Counter(one.basis for table in tables for one in table.statement)
    return "\n".join(
        [
            "# Paper against code",
            "",
            "Made by `litelvlm audit --pages docs`. `litelvlm audit` prints the same, "
            "`--method NAME` one method, `--json` data.",
            "",
            f"{len(tables)} methods, {statements} statements of their papers, and "
            f"{counts['code alone']} decisions of the code alone. {judged} of the {statements} "
            f"statements have a verdict; {by_basis['seen']} were read in the paper's text or in a "
            f"source of its authors for this audit, {by_basis['quoted']} in summaries by others, "
            f"{by_basis['notes']} come from this project's notes and {by_basis['memory']} from "
            "memory. Where both sides agree, the second reading that is measured is an ablation: "
            "no paper and no code asks for it.",
            "",
            *_paired(tables, measured),
            "| verdict | entries | meaning |",
            "|---|---|---|",
            *(
                f"| {verdict} | {counts[verdict]} | {AUDIT_VERDICTS[verdict]} |"
                for verdict in AUDIT_VERDICTS
            ),
            "",
            "How the paper's side is known:",
            "",
            *(f"- *{basis}*: {meaning}" for basis, meaning in BASES.items()),
            "",
            "A verdict rests on a reading, never on memory. Copies of papers are conversions that "
            "public repositories hold, so a formula may have lost a sign. Sections and equations "
            "are given as far as they are known. Code was read in stored public copies at the "
            f"commit that is named. Line numbers were counted in that version. {_placed(tables)}",
        ]
    )


def _paired(tables: Sequence[Audited], measured: AuditResults | None) -> list[str]:
    """How many entries have a measured paired difference, as a paragraph."""
    if measured is None:
        return []
    counts, found = verdict_counts(tables), coverage(tables, measured)
    alone = counts["code alone"]
    drawn = " One more has repeated draws." if found.drawn == 1 else ""
    return [
        f"**{found.statements} of the {sum(counts.values()) - alone} statements and "
        f"{found.decisions} of the {alone} decisions have a measured paired difference.**{drawn} "
        "The others have [a reason](#what-was-not-compared).",
        "",
    ]


def _placed(tables: Sequence[Audited]) -> str:
    """How many entries name lines, in a sentence or two."""
    entries = [statement for table in tables for statement in table.statement]
    whole = sum(all(source.lines for source in statement.sources) for statement in entries)
    told = f"{whole} of {len(entries)} entries name file, lines and commit."
    pages = sum(
        all(source.file.endswith(".md") for source in statement.sources) for statement in entries
    )
    if pages:
        told += f" In {pages} of them the file is a README: the code itself is not stored."
    return told if whole == len(entries) else f"{told} In the others the function is named."


def _differing(tables: Sequence[Audited]) -> str:
    found = [(table, s) for table in tables for s in table.statement if s.verdict == "differ"]
    lines = [
        f"- `{table.method}`, {statement.id}: {statement.claim}{_unstored(statement)} "
        f"*The code:* {_code(statement)}"
        for table, statement in found
    ]
    later = sum(statement.basis in ("notes", "quoted") for _, statement in found)
    caution = (
        f"A difference is not an error: the code may be the version that was meant. In {later} of "
        f"these {len(found)} entries the paper's side comes from notes or summaries. Check the "
        "paper before you cite one."
    )
    return "\n".join(["## Where paper and code differ", "", caution, "", *lines])


def _unstored(statement: Statement) -> str:
    """A caution where the paper's side cannot be looked up here."""
    return {
        "notes": " (From notes that are not in this repository.)",
        "quoted": " (Known from a quotation alone.)",
    }.get(statement.basis, "")


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


def _measured(tables: Sequence[Audited], measured: AuditResults | None) -> str:
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
            "The column *compared* says what stands against what. Unless it says otherwise, the "
            "first is the released code's reading, and the second is the paper's where both "
            "differ. The difference of cIoU is paired: both readings answer the same expressions. "
            "Intervals are 95 %, from resampling images, and are not adjusted. p is that of an "
            f"image-level swap, adjusted by Holm's method over all {tested} differences. "
            "With so few images a wide interval means that this run cannot tell, not that there is "
            "no difference. *Unpruned* is the same difference without pruning, where the readings "
            "are options of the model. In the protocol *single* a conversation holds one "
            "expression, in *conversation* all expressions of an image. Only a part of the images "
            "was read, so compare numbers within this table alone.",
            "",
            _settled(measured),
            "",
            *markdown_lines([heads, *rows]),
            "",
            *_refused(measured),
            *_drawn(tables, measured),
            *_unmeasured(tables),
            "### How it was measured",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in _made(measured).items()),
        ]
    )


def _settled(measured: AuditResults) -> str:
    """Which differences are left after adjustment, in a sentence."""
    tested = [(one, one.p_holm) for one in measured.differences if one.p_holm is not None]
    left = [f"`{one.method}` {one.id} at {one.budget}" for one, p in tested if p <= ALPHA]
    told = f": {', '.join(left)}" if left else ""
    return f"**{len(left)} of {len(tested)} differences are left after the adjustment**{told}."


def _drawn(tables: Sequence[Audited], measured: AuditResults) -> list[str]:
    """Scores of repeated draws, as a part of its own."""
    rows = [
        _draws_row(one, statement.compared)
        for table in tables
        for statement in table.statement
        for one in draws_for(measured, table, statement)
    ]
    if not rows:
        return []
    heads = (
        *("method", "entry", "compared", "tokens", "reading", "runs", "mean cIoU"),
        *("lowest and highest", "standard deviation"),
    )
    return [
        "### What unseeded draws move",
        "",
        "Each run draws up to three sentences an image, and the templates, as the released "
        "evaluation does. That evaluation sets no seed, so two runs of it are two of these draws. "
        "The images are the same in every run. Brackets hold 95 % intervals of the standard "
        "deviation, from the chi-squared distribution. The line of `none`, the unpruned "
        "model, says how much of it comes without any pruning. On a whole split the draws average "
        "over more sentences and move the score less.",
        "",
        *markdown_lines([heads, *rows]),
        "",
    ]


def _draws_row(one: Draws, compared: str) -> tuple[str, ...]:
    ends = f"{min(one.ciou):.3f} and {max(one.ciou):.3f}"
    deviation = f"{one.deviation:.3f} {interval(*one.interval)}"
    start = (one.method, one.id, compared, str(one.budget), f"`{one.reading}`")
    return (*start, str(len(one.ciou)), f"{one.mean:.3f}", ends, deviation)


def _unmeasured(tables: Sequence[Audited]) -> list[str]:
    """Every entry without a number, with the reason, as a part of its own."""
    rows = [
        (table.method, statement.id, statement.verdict, statement.unmeasured)
        for table in tables
        for statement in table.statement
        if statement.unmeasured
    ]
    if not rows:
        return []
    return [
        "### What was not compared",
        "",
        "These entries have no number of their own.",
        "",
        *markdown_lines([("method", "entry", "verdict", "why"), *rows]),
        "",
    ]


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


def _refused(measured: AuditResults) -> list[str]:
    """Why readings have no number, each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in measured.differences:
        if one.refused:
            reasons.setdefault(one.refused, []).append(f"{one.method} {one.id} at {one.budget}")
    lines = [f"- {', '.join(places)}: {reason}" for reason, places in reasons.items()]
    return ["Refused:", "", *lines, ""] if lines else []


def _made(measured: AuditResults) -> dict[str, str]:
    return {
        "command": f"`{measured.command}`",
        "model": f"{measured.model}, weights {measured.weights}",
        "data": f"{measured.data}: {measured.n_images} images, {measured.n} expressions",
        "date": measured.date,
        "commit": measured.commit,
        "runs": ", ".join(f"`{run}`" for run in measured.runs),
    }
