"""The last two columns of the published table: the mean over all splits and the share kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.budgets import published_tokens
from litelvlm.analysis.reproduce.kinds.accuracy_lines import (
    LineCounts,
    LineName,
    by_image,
    compared_line,
    unmeasured_lines,
)
from litelvlm.analysis.reproduce.lines import ALL, Line
from litelvlm.analysis.reproduce.sampling import (
    SplitPixels,
    Spread,
    average_against_one_run,
    share_against_one_run,
)
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.studies import published

AVERAGE, SHARE = "Avg.", "Rel."
Cell = tuple[str, int]
"""Method and budget."""


class MeasuredSplit(NamedTuple):
    """The rows of one split.

    Attributes:
        place: Data set and split of the published column.
        rows: Of the sweep.
        n_whole: Images of the whole split.
        order: Ids of the images in the order of a balanced part; empty for a whole split.
        comparable: Whether model and split are the published ones.
    """

    place: Place
    rows: pd.DataFrame
    n_whole: int
    order: Sequence[int]
    comparable: bool

    def cells(self) -> dict[Cell, tuple[SplitPixels, int]]:
        """Pixels and number of rows by method and budget."""
        found = {}
        for (method, _), cell in self.rows.groupby(["method", "budget"], sort=False):
            pixels = SplitPixels(
                *by_image(cell, self.order), self.n_whole, ordered=bool(self.order)
            )
            found[str(method), int(cell["budget"].iloc[0])] = (pixels, len(cell))
        return found


def missing_splits(places: Sequence[Place]) -> tuple[str, ...]:
    """Splits that the published average counts and that are not among these."""
    return tuple("/".join(place) for place in published.SPLITS if place not in places)


def overall_lines(splits: Sequence[MeasuredSplit], n_tokens: int) -> tuple[Line, ...]:
    """Avg. and Rel. of every method and budget that all splits have; nothing if a split is missing.

    Args:
        splits: What was measured.
        n_tokens: Visual tokens of the model before pruning.
    """
    if missing_splits([split.place for split in splits]):
        return ()
    comparable = all(split.comparable for split in splits)
    by_split = [split.cells() for split in splits]
    whole = [cells[UNPRUNED, n_tokens][0] for cells in by_split]
    lines: dict[str, list[Line]] = {AVERAGE: [], SHARE: []}
    for cell in by_split[0]:
        if not all(cell in cells for cells in by_split):
            continue
        pixels = [cells[cell][0] for cells in by_split]
        n = sum(cells[cell][1] for cells in by_split)
        for quantity, spread in _spreads(cell, pixels, whole):
            lines[quantity].append(_line(quantity, cell, pixels, n, spread, n_tokens, comparable))
    return tuple(
        line
        for quantity, found in lines.items()
        for line in (
            *found,
            *unmeasured_lines(found, ALL, quantity, n_tokens, published_overall(quantity)),
        )
    )


def _spreads(
    cell: Cell, pixels: Sequence[SplitPixels], whole: Sequence[SplitPixels]
) -> Iterator[tuple[str, Spread]]:
    yield AVERAGE, average_against_one_run(pixels)
    if cell[0] != UNPRUNED:
        yield SHARE, share_against_one_run(pixels, whole)


def _line(
    quantity: str,
    cell: Cell,
    pixels: Sequence[SplitPixels],
    n: int,
    spread: Spread,
    n_tokens: int,
    comparable: bool,
) -> Line:
    method, budget = cell
    tokens = published_tokens(budget, n_tokens)
    label, number = published_overall(quantity).get((method, tokens), ("", float("nan")))
    images = [len(split.inter) for split in pixels]
    counts = LineCounts(budget, tokens, sum(images), n, min(images))
    return compared_line(LineName(ALL, method, label, quantity), counts, number, spread, comparable)


def published_overall(quantity: str) -> Mapping[Cell, tuple[str, float]]:
    """Published name and percentage of Avg. or Rel., by our label and published budget."""
    column = (AVERAGE, SHARE).index(quantity)
    found = {
        (published.METHOD_BY_LABEL[label], tokens): (label, values[column])
        for (label, tokens), values in published.AVERAGES.items()
    }
    whole = ("unpruned", published.UNPRUNED_AVERAGE)
    return found if quantity == SHARE else found | {(UNPRUNED, published.N_TOKENS): whole}
