"""The tables of a report: those of a summary, accuracy by method and budget, published ones."""

import os
from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.formatting import Cell, Grid, grid, interval, number
from litelvlm.analysis.runs.messages.reasons import reasons
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.record import Summary
from litelvlm.analysis.studies import published, published_video
from litelvlm.analysis.studies.scores import main_score
from litelvlm.analysis.studies.stories import story_of
from litelvlm.data.dataset import CLIPS, IMAGES
from litelvlm.data.files import atomic_write

LONGEST = 100
"""Lines of a table on the page; its CSV file has all."""


class PublishedTable(NamedTuple):
    """A published table, its source, and what to keep in mind."""

    grid: Grid
    source: str
    caution: str


def folder_names(runs: Iterable[Path]) -> dict[Path, str]:
    """A folder name for the files of each run beside the page; runs of one name are numbered.

    Example:
        >>> list(folder_names([Path("one/sweep"), Path("other/sweep")]).values())
        ['sweep', 'sweep-2']
    """
    found = dict[Path, str]()
    for run in runs:
        name = run.resolve().name
        numbered = chain([name], map(f"{name}-{{}}".format, count(2)))
        found[run] = next(one for one in numbered if one not in found.values())
    return found


def tables_of(
    folder: Path, summary: Summary, out: Path, excluded: Sequence[Exclusion] = ()
) -> list[Grid]:
    """Tables of a summary, each with a CSV file beside the page.

    The scores of a run that compares methods come by method and budget as well.

    Args:
        folder: Of the run's files beside the page.
        summary: Of the run.
        out: Folder of the page.
        excluded: Methods that cannot keep to a budget.
    """
    found, compares = [], compared(summary)
    for name in summary.tables:
        frame = summary.table(name)
        path = folder / f"{name}.csv"
        atomic_write(path, frame.to_csv(index=False))
        link = relative(path, out)
        title = name.replace("_", " ")
        if len(frame) > LONGEST:
            title += f" (the first {LONGEST} of {len(frame)} lines)"
        if compares and name == "scores":
            found.append(
                by_budget(
                    f"{main_score(frame['metric']).label} by method and budget",
                    with_intervals(of_main(frame)),
                    link,
                    reasons(excluded),
                )
            )
        found.append(grid(title, frame.head(LONGEST), link))
    return found


def compared(summary: Summary) -> bool:
    """Whether a run has scores of methods by budget."""
    return story_of(summary.study).scores and {"scores", "comparisons"} <= set(summary.tables)


def of_main(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the score that pages show: one per method and budget."""
    return table[table["metric"] == main_score(table["metric"]).name]


def by_budget(
    title: str, lines: pd.DataFrame, csv: str = "", refused: Collection[tuple[str, int]] = ()
) -> Grid:
    """One row per method and one column per budget; the best and the largest stand first.

    Args:
        title: Of the table.
        lines: One line per method and budget: these two, "value", and "text" for the cell.
        csv: Link to its file.
        refused: Methods and budgets that they cannot keep to.

    Returns:
        Rows from the highest value at the largest budget that the method has, methods that refuse
        every budget last; "refused", or nothing, where there is no line.
    """
    keys = list(zip(lines["method"], lines["budget"].tolist(), strict=True))
    texts = dict.fromkeys(refused, "refused") | dict(zip(keys, lines["text"], strict=True))
    # The number of all tokens, which only the unpruned model keeps, comes last.
    held = Counter(budget for _, budget in texts)
    budgets = sorted(held, key=lambda budget: (held[budget] == 1, -budget))
    values = dict(zip(keys, lines["value"], strict=True))
    largest = {method: max(k for name, k in keys if name == method) for method, _ in keys}
    ranked = sorted(largest, key=lambda method: -values[method, largest[method]])
    unmet = [method for method in dict.fromkeys(m for m, _ in refused) if method not in largest]
    rows = [
        (Cell(method, False), *(Cell(texts.get((method, k), ""), True) for k in budgets))
        for method in (*ranked, *unmet)
    ]
    return Grid(title, ("method", *(f"{budget} tokens" for budget in budgets)), tuple(rows), csv)


def with_intervals(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with value and interval as their text."""
    ends = zip(lines["value"], lines["low"], lines["high"], strict=True)
    return lines.assign(text=[f"{number(value)} {interval(*both)}" for value, *both in ends])


def beside(summary: Summary, excluded: Sequence[Exclusion] = ()) -> list[Grid]:
    """A run's scores in the terms of the published table: the score, and the share kept."""
    if not compared(summary):
        return []
    table, comparisons = summary.table("scores"), summary.table("comparisons")
    label, scores = main_score(table["metric"]).label, with_intervals(of_main(table))
    found = [by_budget(f"{label} [95 % interval]", scores, refused=reasons(excluded))]
    if comparisons.empty:  # no method pruned
        return found
    kept = of_main(comparisons[comparisons["reference"] == UNPRUNED])
    shares = zip(kept["retention"], kept["retention_bound"], strict=True)
    texts = [f"{number(share)} (≥ {number(bound)})" for share, bound in shares]
    title = f"Share of the unpruned {label} that is kept (one-sided 95 % bound)"
    return [*found, by_budget(title, kept.assign(value=kept["retention"], text=texts))]


def published_tables(units: Container[str]) -> list[PublishedTable]:
    """The published tables about images, about clips or about both.

    Args:
        units: What the runs on the page resample.

    Returns:
        Each with its source and with what to keep in mind.
    """
    accuracy = published.accuracy().drop(columns="method")
    names = {"label": "method", "tokens": "budget", "ciou": "value"}
    both = zip(accuracy["ciou"], accuracy["kept"], strict=True)
    shown = by_budget(
        "Mean cIoU of eight splits in percent (share of the unpruned one), as published",
        accuracy.rename(columns=names).assign(text=[f"{c:.1f} ({kept:.1%})" for c, kept in both]),
    )
    masks = PublishedTable(shown, published.ACCURACY_SOURCE, published.ACCURACY_CAUTION)
    costs = PublishedTable(
        grid("Efficiency, as published", published.efficiency()),
        published.SOURCE,
        published.CAUTION,
    )
    clips = PublishedTable(
        grid(
            "Clips, in percent, as published",
            published_video.published_frame(published_video.VIDEO),
        ),
        published_video.VIDEO_SOURCE,
        published_video.VIDEO_CAUTION,
    )
    return [*([masks, costs] if IMAGES in units else ()), *([clips] if CLIPS in units else ())]


def published_statements(units: Container[str]) -> list[str]:
    """The paper's own claims, about images, about clips or about both."""
    return [
        *(published.STATEMENTS if IMAGES in units else ()),
        *(published_video.VIDEO_STATEMENTS if CLIPS in units else ()),
    ]


def relative(path: Path, folder: Path) -> str:
    """A link from the page to a file."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())
