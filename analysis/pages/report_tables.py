"""The tables of a report: those of a summary, accuracy by method and budget, published ones."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, cast
from urllib.parse import quote

import pandas as pd

from litelvlm.analysis.runs.exclusions import reasons
from litelvlm.analysis.runs.formatting import Cell, Grid, grid, interval, number
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.record import Summary
from litelvlm.analysis.studies import published
from litelvlm.data.files import atomic_write

LONGEST = 100
"""Lines of a table on the page; its CSV file has all."""


class ScoreLine(TypedDict):
    """One method at one budget.

    Attributes:
        method: Label of the method.
        budget: Visual tokens kept.
        value: What the table is about.
        low: Lower end of its interval.
        high: Upper end of its interval.
        retention_bound: One-sided lower bound of the share of the unpruned score.
        kept: Published share of the unpruned score.
    """

    method: str
    budget: int
    value: float
    low: NotRequired[float]
    high: NotRequired[float]
    retention_bound: NotRequired[float]
    kept: NotRequired[float]


def tables_of(
    run: Path, summary: Summary, out: Path, excluded: Sequence[Exclusion] = ()
) -> list[Grid]:
    """Tables of a summary, each with a CSV file beside the page.

    The scores of a run that compares methods come by method and budget as well.

    Args:
        run: Run folder.
        summary: Of the run.
        out: Folder of the page.
        excluded: Methods that cannot keep to a budget.
    """
    found = []
    for name in summary.tables:
        frame = summary.table(name)
        path = out / "data" / run.name / f"{name}.csv"
        atomic_write(path, frame.to_csv(index=False))
        link = relative(path, out)
        title = name.replace("_", " ")
        if len(frame) > LONGEST:
            title += f" (the first {LONGEST} of {len(frame)} lines)"
        if compares_methods(summary) and name == "scores":
            found.append(
                by_budget(
                    "cIoU by method and budget", scores_of(frame), spread, link, reasons(excluded)
                )
            )
        found.append(grid(title, frame.head(LONGEST), link))
    return found


def compares_methods(summary: Summary) -> bool:
    """Whether a run scores methods by budget and compares them: it has the tables that say so."""
    return {"scores", "comparisons"} <= set(summary.tables)


def scores_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Lines of cIoU of a sweep's table "scores"."""
    lines: pd.DataFrame = scores[scores["metric"] == "ciou"]
    return lines


def by_budget(
    title: str,
    lines: pd.DataFrame,
    text: Callable[[ScoreLine], str],
    csv: str = "",
    refused: Collection[tuple[str, int]] = (),
) -> Grid:
    """One row per method and one column per budget; the best and the largest stand first.

    Args:
        title: Of the table.
        lines: Columns method, budget, value and what ``text`` reads; one line per method and
            budget.
        text: What a cell says of its line.
        csv: Link to its file.
        refused: Methods and budgets that they cannot keep to.

    Returns:
        Rows from the highest value at the largest budget that the method has, methods that refuse
        every budget last; "refused", or nothing, where there is no line.
    """
    cells: dict[str, dict[int, ScoreLine]] = {}
    for line in cast("list[ScoreLine]", lines.to_dict("records")):
        cells.setdefault(line["method"], {})[line["budget"]] = line
    # The number of all tokens, which only the unpruned model keeps, comes last.
    held = Counter(
        [*(budget for own in cells.values() for budget in own), *(budget for _, budget in refused)]
    )
    budgets = sorted(held, key=lambda budget: (held[budget] == 1, -budget))
    ranked = sorted(cells, key=lambda method: -cells[method][max(cells[method])]["value"])
    unmet = [
        method for method in dict.fromkeys(method for method, _ in refused) if method not in cells
    ]

    def told(method: str, budget: int) -> Cell:
        line = cells.get(method, {}).get(budget)
        return Cell(text(line) if line else "refused" if (method, budget) in refused else "", True)

    rows = [
        (Cell(method, False), *(told(method, budget) for budget in budgets))
        for method in (*ranked, *unmet)
    ]
    return Grid(title, ("method", *(f"{budget} tokens" for budget in budgets)), tuple(rows), csv)


def spread(line: ScoreLine) -> str:
    """A value with its interval."""
    return f"{number(line['value'])} {interval(line['low'], line['high'])}"


def beside(summary: Summary, excluded: Sequence[Exclusion] = ()) -> list[Grid]:
    """A run's scores in the terms of the published table: cIoU, and the share kept."""
    comparisons = summary.table("comparisons")
    kept = comparisons[(comparisons["metric"] == "ciou") & (comparisons["reference"] == "none")]
    return [
        by_budget(
            "cIoU [95 % interval]",
            scores_of(summary.table("scores")),
            spread,
            refused=reasons(excluded),
        ),
        by_budget(
            "Share of the unpruned cIoU that is kept (one-sided 95 % bound)",
            kept.rename(columns={"retention": "value"}),
            lambda line: f"{number(line['value'])} (≥ {number(line['retention_bound'])})",
        ),
    ]


def published_tables() -> list[dict[str, object]]:
    """The published tables, each with its source and with what to keep in mind."""
    accuracy = (
        published.accuracy()
        .drop(columns="method")
        .rename(columns={"label": "method", "tokens": "budget"})
    )
    shown = by_budget(
        "Mean cIoU of eight splits in percent (share of the unpruned one), as published",
        accuracy.rename(columns={"ciou": "value"}),
        lambda line: f"{line['value']:.1f} ({line['kept']:.1%})",
    )
    return [
        {"grid": shown, "source": published.ACCURACY_SOURCE, "caution": published.ACCURACY_CAUTION},
        {
            "grid": grid("Efficiency, as published", published.efficiency()),
            "source": published.SOURCE,
            "caution": published.CAUTION,
        },
    ]


def relative(path: Path, folder: Path) -> str:
    """A link from the page to a file."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())
