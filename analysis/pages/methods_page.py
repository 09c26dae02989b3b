"""The page of all methods: ``python -m litelvlm.analysis.pages.methods_page RUN PAGE``.

It is made from a sweep of every method in every preset, as ``litelvlm study sweep --methods all``
computes one. The numbers are those of the report; the page is for reading beside the code.
"""

import sys
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.report.tables import by_budget, scores_of
from litelvlm.analysis.pages.wrapping import wrapped_page
from litelvlm.analysis.runs.exclusions import exclusion_lines, reasons
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import Grid
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.stories import story_of
from litelvlm.data.files import atomic_write
from litelvlm.pruning.cues import TRUTH


def methods_page(folder: Path) -> str:
    """The page as Markdown.

    Args:
        folder: A whole sweep.

    Raises:
        ValueError: If the run is of another study, or parts of it are missing.
    """
    record = read_record(folder)
    kind = story_of(record.study).scores
    if kind is None or not record.complete:
        raise ValueError(
            f"{folder} is not a complete sweep (study {record.study!r}, "
            f"{record.parts_done} of {record.n_parts} parts); "
            "take a finished run of `litelvlm study sweep --methods all`"
        )
    scores = scores_of(read_summary(folder), kind)
    rows = read_rows(folder)
    # Three decimals, so that a column can be read downwards.
    ends = zip(scores["value"], scores["low"], scores["high"], strict=True)
    scores = scores.assign(text=[f"{v:.3f} [{low:.3f}, {high:.3f}]" for v, low, high in ends])
    (unpruned,) = scores[scores["method"] == UNPRUNED].to_dict("records")
    pruned = scores[scores["method"] != UNPRUNED]
    table = by_budget("", pruned, refused=reasons(record.excluded))
    note = f"**Miniature.** {MINIATURE_NOTE}\n\n" if is_miniature(record) else ""
    environment = Environment(  # noqa: S701 - Markdown has nothing to escape
        loader=PackageLoader("litelvlm.analysis.pages"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    page: str = environment.get_template("methods.md").render(
        note=note,
        protocol=record.protocol,
        description=protocol_of(record.protocol).description,
        single=record.protocol == "single",
        n=unpruned["n"],
        n_images=unpruned["n_images"],
        n_tokens=unpruned["budget"],
        unpruned=unpruned["text"],
        table=markdown_table(table),
        seeds=rows["seed"].nunique(),
        same=agreement(rows) or "none",
        refused=refusals(record),
        made=made(record),
    )
    return wrapped_page(page)


def markdown_table(table: Grid) -> str:
    """The table, with the stage of every method and what it reads besides the image."""
    heads = [table.heads[0], "stage", "reads", *table.heads[1:]]
    lines = [heads, ["---"] * len(heads)]
    for name, *cells in table.rows:
        pruner = Method.parse(name.text).pruner()
        held = getattr(pruner, "of", None)
        label = f"`{name.text}`" + (f" of `{held.name}`" if held is not None else "")
        reads = "true mask" if pruner.needs & TRUTH else "text" if pruner.text_guided else ""
        stage = pruner.stage.replace("_", " ")
        lines.append([label, stage, reads, *(cell.text for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def agreement(rows: pd.DataFrame) -> str:
    """Methods and budgets with equal pixel counts on every expression, so with the same masks."""
    found: dict[tuple[str, ...], list[str]] = {}
    ordered = rows.sort_values(["image_id", "sent_id", "seed"])
    for budget in sorted(rows["budget"].unique(), reverse=True):
        same: dict[bytes, list[str]] = {}
        for method, cell in ordered[ordered["budget"] == budget].groupby("method"):
            counts = cell[["inter_px", "union_px", "pred_px"]].to_numpy()
            same.setdefault(counts.tobytes(), []).append(f"`{method}`")
        for methods in same.values():
            if len(methods) > 1:
                found.setdefault(tuple(methods), []).append(str(budget))
    return ";\n".join(
        f"{', '.join(methods)} at {', '.join(budgets)}" for methods, budgets in found.items()
    )


def refusals(record: RunRecord) -> str:
    """Methods and budgets that were refused, with the reason."""
    told = [
        note.removeprefix("left out: ")
        for note in (*record.notes, *exclusion_lines(record.excluded))
        if note.startswith("left out: ")
    ]
    return "\n".join(f"- {note}" for note in told) or "Nothing."


def made(record: RunRecord) -> str:
    """Command, date, machine, data and code of the run, as a table."""
    limit = "" if record.limit is None else f", the first {record.limit} images"
    machine = record.machine
    facts = {
        "command": f"`{record.command}`",
        "date": (record.ended or record.started)[:10],
        "machine": (
            f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} thread, "
            f"GPU: {machine['gpu']}"
        ),
        "model": f"{record.model['name']} ({record.model['family']}), {record.model['dtype']}",
        "data": f"{record.data['name']}, {record.data['split']}{limit}",
        "expressions": f"{record.counts.done} done, {record.counts.failed} failed",
        "commit": (record.commit or "unknown")
        + (", with uncommitted changes" if record.dirty else ""),
        "versions": ", ".join(
            f"{name} {record.versions[name]}" for name in ("torch", "transformers", "numpy")
        ),
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    )


if __name__ == "__main__":
    atomic_write(Path(sys.argv[2]), methods_page(Path(sys.argv[1])))
