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
from typing import Protocol, runtime_checkable

from PIL import Image

from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.pages.report.claims import WIDTH, adjusted_in, cards, families
from litelvlm.analysis.pages.report.compare import FIRST, comparisons, run_labels
from litelvlm.analysis.pages.report.glossary import Explainer, terms
from litelvlm.analysis.pages.report.opening import (
    answer,
    how_sure,
    question,
    what_would_change_it,
)
from litelvlm.analysis.pages.report.tables import (
    beside,
    published_tables,
    relative,
    tables_of,
)
from litelvlm.analysis.runs.folder import read_record, read_rows, read_summary
from litelvlm.analysis.runs.formatting import counted
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.studies import EVERY_STUDY, published
from litelvlm.analysis.studies.stories import story_of
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.files import atomic_write

log = logging.getLogger(__name__)
_QUALITY = 85  # of photographs inside the page; the files beside it are exact


@runtime_checkable
class DrawnFigure(Protocol):
    """What the page needs of a figure that was drawn."""

    @property
    def name(self) -> str:
        """In the table of figures."""

    @property
    def caption(self) -> str:
        """What it shows, with n and the kind of interval."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Format ("png", "svg", "pdf") to file."""

    @property
    def opens(self) -> int:
        """Rank among the figures that may open the page, the best is 1; 0 for one that does not."""


def build_report(
    runs: Sequence[Path], out: Path, pictures: Mapping[Path, Sequence[DrawnFigure]]
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
    labels = {
        run: f"{records[run].study}, {label}" if label else records[run].study
        for run, label in run_labels(records).items()
    }
    everything = list(records.values()), list(finished.values())
    explain, families_ = Explainer(terms()), families(records, summaries)
    context = {
        "title": "Visual-token pruning in pixel grounding" + (" (miniature)" if miniature else ""),
        "question": question(everything[0]),
        "models": sorted(
            {
                f"Model {r.model['name']}, data {r.data['name']}, split {r.data['split']}"
                for r in everything[0]
            }
        ),
        "miniature_note": MINIATURE_NOTE if miniature else "",
        "warnings": warnings_of(records),
        "lead": lead_picture(pictures, labels, out),
        "answers": [
            answer(anchor(records[run]), labels[run], summary) for run, summary in finished.items()
        ],
        "sure": how_sure(*everything),
        "change": what_would_change_it(
            everything[0], {labels[run]: summary for run, summary in finished.items()}
        ),
        "commands": list(dict.fromkeys(runnable(record.command) for record in everything[0])),
        "sweeps": [run for run, summary in finished.items() if story_of(summary.study).explorable],
        "comparisons": comparisons(records, summaries),
        "first_lines": FIRST,
        "cards": [
            (
                anchor(records[run]),
                labels[run],
                *cards(records[run], summary, adjusted_in(families_, records[run])),
            )
            for run, summary in finished.items()
        ],
        "n_claims": sum(len(summary.claims) for summary in finished.values()),
        "plot_width": WIDTH,
        "families": families_,
        "runs": [
            run_view(run, labels[run], records[run], summaries[run], out, pictures.get(run, ()))
            for run in records
        ],
        "ours": [
            (labels[run], table)
            for run, summary in finished.items()
            for table in beside(summary, records[run].excluded)
        ],
        "published": {
            "statements": published.STATEMENTS,
            "tables": published_tables(),
        },
        "terms": terms(),
        "explain": explain,
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
    pictures: Mapping[Path, Sequence[DrawnFigure]], labels: Mapping[Path, str], out: Path
) -> dict[str, object] | None:
    """The figure that opens the page, with the run that it is of; None if none was drawn."""
    drawn = [(run, picture) for run, group in pictures.items() for picture in group]
    ranked = sorted((item for item in drawn if item[1].opens), key=lambda item: item[1].opens)
    first = next(iter((*ranked, *drawn)), None)
    return picture_view(first[1], out) | {"run": labels[first[0]]} if first else None


def run_view(
    run: Path,
    label: str,
    record: RunRecord,
    summary: Summary | None,
    out: Path,
    pictures: Sequence[DrawnFigure],
) -> dict[str, object]:
    """What the page shows of one run; its record, summary and rows are copied beside the page."""
    return {
        "name": anchor(record),
        "study": label,
        "question": get_study(record.study).question,
        "miniature": is_miniature(record),
        "interpretation": summary.interpretation if summary else "",
        "pictures": [picture_view(picture, out) for picture in pictures],
        "tables": tables_of(run, summary, out, record.excluded) if summary else [],
        "facts": facts(record),
        "failures": record.failures,
        "notes": [*record.notes, *exclusion_lines(record.excluded)],
        "links": copy_data(run, out),
    }


def picture_view(picture: DrawnFigure, out: Path) -> dict[str, object]:
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
        done = f"{record.parts_done} of {record.n_parts} parts"
        found.append(f"{done} are there; run the same command again for the rest.")
    if record.limit is not None:
        part = f"limited to the first {record.limit} images of the split"
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


def copy_data(run: Path, out: Path) -> dict[str, str]:
    """Copy record, summary and rows beside the page, and return the links by label."""
    links = {}
    for label, name in (
        ("record", "run.json"),
        ("configuration", "config.yaml"),
        ("summary", "summary.json"),
    ):
        if (run / name).is_file():
            path = atomic_write(out / "data" / run.name / name, (run / name).read_bytes())
            links[label] = relative(path, out)
    try:
        rows = read_rows(run)
    except FileNotFoundError:
        log.warning("%s has no rows yet", run.name)
        return links
    path = atomic_write(
        out / "data" / run.name / "rows.parquet", rows.to_parquet(index=False, compression="zstd")
    )
    return links | {f"rows ({len(rows)})": relative(path, out)}


def anchor(record: RunRecord) -> str:
    """Where a run stands on the page."""
    return f"{record.study}-{record.key[:12]}"


def joined(values: Mapping[str, object]) -> str:
    """A mapping in one line."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
