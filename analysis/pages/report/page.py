"""The report: one offline page of verdicts, figures, tables and records, from saved rows.

The template engine escapes all text that comes from data (expressions, file names, messages). The
page's policy forbids every network source.
"""

import base64
import logging
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.pages.report.claims import (
    WIDTH,
    FamilyView,
    adjusted_in,
    cards,
    families,
    interval_plot,
)
from litelvlm.analysis.pages.report.compare import FIRST, comparisons, study_labels
from litelvlm.analysis.pages.report.glossary import Explainer, terms
from litelvlm.analysis.pages.report.opening import (
    how_sure,
    question,
    units_of,
    what_would_change_it,
)
from litelvlm.analysis.pages.report.tables import (
    beside,
    folder_names,
    published_statements,
    published_tables,
    relative,
    tables_of,
)
from litelvlm.analysis.runs.folder import read_record, read_rows, read_summary
from litelvlm.analysis.runs.formatting import counted
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.runs.saved import FigureFiles
from litelvlm.analysis.studies import EVERY_STUDY
from litelvlm.analysis.studies.examples import read_examples
from litelvlm.analysis.studies.stories import leading, story_of
from litelvlm.analysis.studies.sweep.examples import ANIMATIONS
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.files import atomic_write

log = logging.getLogger(__name__)
_QUALITY = 85  # of photographs inside the page; the files beside it are exact


def build_report(
    runs: Sequence[Path], out: Path, pictures: Mapping[Path, Sequence[FigureFiles]]
) -> Path:
    """Write ``index.html`` with the data it links to, and return its path.

    Args:
        runs: Run folders, complete or not; the page names missing parts. They stand in the order
            of the table of studies.
        out: Folder of the report.
        pictures: Figures of each run folder.

    Raises:
        FileNotFoundError: If a folder holds no run.
        ValueError: If a record or a summary does not fit its schema.
    """
    read = {run: read_record(run) for run in runs}
    records = dict(sorted(read.items(), key=lambda item: EVERY_STUDY.index(item[1].study)))
    summaries = {
        run: read_summary(run) if record.complete else None for run, record in records.items()
    }
    finished = {run: summary for run, summary in summaries.items() if summary is not None}
    miniature = any(is_miniature(record) for record in records.values())
    labels, names = study_labels(records), folder_names(runs)
    every, told = list(records.values()), {labels[run]: found for run, found in finished.items()}
    adjusted = families(records, summaries)
    views = {
        run: run_view(
            run, record, summaries[run], out, out / "data" / names[run], pictures.get(run, ())
        )
        | {"study": labels[run]}
        | (findings_view(record, finished[run], adjusted) if run in finished else {})
        for run, record in records.items()
    }
    resampled = {record.unit for record in every}
    context = {
        "title": "Visual-token pruning in pixel grounding" + (" (miniature)" if miniature else ""),
        "question": question(every),
        "models": sorted(
            {
                f"Model {r.model['name']}, data {r.data['name']}, split {r.data['split']}"
                for r in every
            }
        ),
        "miniature_note": MINIATURE_NOTE if miniature else "",
        "warnings": warnings_of(records),
        "lead": lead_picture(pictures, labels, out),
        "units": units_of(every),
        "sure": how_sure(every, list(finished.values())),
        "change": what_would_change_it(every, told),
        "commands": list(dict.fromkeys(runnable(record.command) for record in every)),
        "sweeps": [run for run, summary in finished.items() if story_of(summary.study).explorable],
        "comparisons": comparisons(records, summaries),
        "first_lines": FIRST,
        "n_claims": sum(len(summary.claims) for summary in finished.values()),
        "plot_width": WIDTH,
        "families": adjusted,
        "runs": list(views.values()),
        "finished": [views[run] for run in finished],
        "statements": published_statements(resampled),
        "published": published_tables(resampled),
        "terms": terms(),
        "explain": Explainer(terms()),
    }
    environment = page_environment()
    return atomic_write(out / "index.html", environment.get_template("report.html").render(context))


def runnable(command: str) -> str:
    """A stored command without the folders of outputs that were hidden in it.

    Example:
        >>> runnable("litelvlm study sink --limit 3 --report .../page --out runs")
        'litelvlm study sink --limit 3 --out runs'
    """
    return re.sub(r" --(?:out|report)[ =]\.\.\./\S+", "", command)


def lead_picture(
    pictures: Mapping[Path, Sequence[FigureFiles]], labels: Mapping[Path, str], out: Path
) -> dict[str, object] | None:
    """The figure that opens the page, with the run that it is of; None if none was drawn."""
    drawn = [(run, picture) for run, group in pictures.items() for picture in group]
    ranked = sorted((item for item in drawn if item[1].opens), key=lambda item: item[1].opens)
    first = next(iter((*ranked, *drawn)), None)
    return picture_view(first[1], out) | {"run": labels[first[0]]} if first else None


def run_view(
    run: Path,
    record: RunRecord,
    summary: Summary | None,
    out: Path,
    data: Path,
    pictures: Sequence[FigureFiles],
) -> dict[str, object]:
    """What the page shows of one run; record, summary, tables and rows are copied to ``data``."""
    return {
        "name": f"{record.study}-{record.key[:12]}",
        "question": get_study(record.study).question,
        "miniature": is_miniature(record),
        "interpretation": summary.interpretation if summary else "",
        "pictures": [picture_view(picture, out) for picture in pictures],
        "animations": animations(run),
        "tables": tables_of(data, summary, out, record.excluded) if summary else [],
        "facts": facts(record),
        "failures": record.failures,
        "notes": [*record.notes, *exclusion_lines(record.excluded)],
        "links": copy_data(run, data, out),
    }


def findings_view(
    record: RunRecord, summary: Summary, adjusted: Sequence[FamilyView]
) -> dict[str, object]:
    """What a finished run found: its sentence with its plot, its claims, its scores by budget."""
    claim = leading(summary.study, summary.claims)
    open_, folded = cards(summary, adjusted_in(adjusted, record))
    return {
        "sentence": finding(summary),
        "verdict": claim.verdict if claim else "",
        "plot": interval_plot(claim) if claim else None,
        "open": open_,
        "folded": folded,
        "scores": beside(summary, record.excluded),
    }


def animations(run: Path) -> list[dict[str, str]]:
    """Animated examples of a run of clips, as data inside the page."""
    if not any(run.glob(ANIMATIONS.format("*"))):
        return []
    _, shown = read_examples(run)
    files = [run / ANIMATIONS.format(number) for number in range(len(shown))]
    return [
        {
            "caption": f"“{one.text}”: all tokens on the left, {one.titles[2]} on the right",
            "data": f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}",
        }
        for path, one in zip(files, shown, strict=True)
        if path.is_file()
    ]


def picture_view(picture: FigureFiles, out: Path) -> dict[str, object]:
    """A figure as data inside the page, with links to its files."""
    kind, data = inside_page(picture.files["svg"], picture.files["png"])
    return {
        "caption": picture.caption,
        "data": f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}",
        "links": {kind: relative(path, out) for kind, path in picture.files.items()},
    }


def inside_page(svg: Path, png: Path) -> tuple[str, bytes]:
    """Media type and bytes of a figure: its lines as they are, photographs in less space.

    A figure that is larger in SVG than in PNG holds photographs.
    """
    if svg.stat().st_size <= png.stat().st_size:
        return "image/svg+xml", svg.read_bytes()
    buffer = BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").save(buffer, "WEBP", quality=_QUALITY)
    return "image/webp", buffer.getvalue()


def warnings_of(records: Mapping[Path, RunRecord]) -> list[str]:
    """What keeps runs from being a result, each warning once with the runs that it concerns."""
    found: dict[str, list[str]] = {}
    for run, record in records.items():
        for text in _warnings(record):
            found.setdefault(text, []).append(run.name)
    return [f"{', '.join(names)}: {text}" for text, names in found.items()]


def _warnings(record: RunRecord) -> list[str]:
    found = []
    if not record.complete:
        found.append(f"{unfinished_text(record)}.")
    if record.limit is not None:
        part = f"limited to the first {record.limit} {record.samples} of those that the study takes"
        found.append(f"{part}; this is only a sample of the result.")
    if record.failures:
        failed = record.counts.failed
        found.append(f"{failed} samples failed; the run record below has the reasons.")
    return found


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """The run record as labels and values."""
    counts = record.counts
    skipped = counted(counts.skipped) or "none"
    dirty = {True: " with uncommitted changes", False: "", None: ""}[record.dirty]
    return [
        ("State", record.state),
        ("Samples", f"{counts.expected} expected, {counts.done} done, {counts.failed} failed"),
        ("Skipped", skipped),
        ("Command", record.command),
        ("Protocol", f"{record.protocol}: {protocol_of(record.protocol).description}"),
        ("Model", joined(record.model)),
        ("Data", joined(record.data)),
        ("Seeds", joined(record.seeds)),
        ("Commit", f"{record.commit or 'unknown'}{dirty}"),
        ("Versions", joined({"python": record.python, **record.versions})),
        ("Platform", record.platform),
        ("Machine", joined(record.machine)),
        ("Determinism", joined(record.determinism)),
        ("Started, ended", f"{record.started}, {record.ended or 'still running'}"),
        ("Key", record.key),
    ]


def copy_data(run: Path, data: Path, out: Path) -> dict[str, str]:
    """Copy record, summary and rows beside the page, and return the links by label."""
    links = {}
    for label, name in (
        ("record", "run.json"),
        ("configuration", "config.yaml"),
        ("summary", "summary.json"),
    ):
        if (run / name).is_file():
            path = atomic_write(data / name, (run / name).read_bytes())
            links[label] = relative(path, out)
    try:
        rows = read_rows(run)
    except FileNotFoundError:
        log.warning("%s has no rows yet", run.name)
        return links
    content = rows.to_parquet(index=False, compression="zstd")
    path = atomic_write(data / "rows.parquet", content)
    return links | {f"rows ({len(rows)})": relative(path, out)}


def joined(values: Mapping[str, object]) -> str:
    """A mapping in one line."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
