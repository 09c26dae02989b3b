"""The table of accuracy: cIoU of each split, their mean (Avg.) and the share kept (Rel.)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.lines import (
    ALL,
    DETECTABLE,
    NOTHING,
    REACH,
    FinishedSplit,
    Line,
    budget_of,
    published_tokens,
    verdict_of,
)
from litelvlm.analysis.reproduce.sampling import (
    SplitPixels,
    Spread,
    average_against_one_run,
    share_against_one_run,
)
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.studies import published
from litelvlm.arrays import Array
from litelvlm.pruning import list_pruners

MARGIN = 1.0
"""Points of cIoU, of its mean and of Rel.; a choice, which `docs/reproduce.md` explains. No source
states how far two runs of the released evaluation lie apart."""
AVERAGE, SHARE = "Avg.", "Rel."
Cell = tuple[str, int]
"""Method and budget."""
Known = dict[Cell, tuple[str, float]]
"""Published name and percentage, by our label and published budget."""


class Found(NamedTuple):
    """What one method and budget has: its score, and the images and rows of each split."""

    spread: Spread
    images: Sequence[int]
    n: int


def accuracy_lines(split: FinishedSplit) -> tuple[Line, ...]:
    """One line per method and budget of a sweep in the official protocol, then the unmeasured."""
    found = {
        cell: Found(average_against_one_run([pixels]), [len(pixels.inter)], n)
        for cell, (pixels, n) in split_cells(split).items()
    }
    known = published_ciou(split.place)
    return _lines(split.name, "cIoU", found, known, split.n_tokens, split.comparable)


def overall_lines(splits: Sequence[FinishedSplit]) -> tuple[Line, ...]:
    """Avg. and Rel. of every method and budget that all splits have; nothing if a split is missing.

    Args:
        splits: What was measured.
    """
    if missing_splits([split.place for split in splits]):
        return ()
    n_tokens, comparable = splits[0].n_tokens, all(split.comparable for split in splits)
    by_split = [split_cells(split) for split in splits]
    whole = [cells[UNPRUNED, n_tokens][0] for cells in by_split]
    average, share = dict[Cell, Found](), dict[Cell, Found]()
    for cell in by_split[0]:
        if not all(cell in cells for cells in by_split):
            continue
        pixels = [cells[cell][0] for cells in by_split]
        images, n = [len(one.inter) for one in pixels], sum(cells[cell][1] for cells in by_split)
        average[cell] = Found(average_against_one_run(pixels), images, n)
        if cell[0] != UNPRUNED:
            share[cell] = Found(share_against_one_run(pixels, whole), images, n)
    return (
        *_lines(ALL, AVERAGE, average, published_overall(AVERAGE), n_tokens, comparable),
        *_lines(ALL, SHARE, share, published_overall(SHARE), n_tokens, comparable),
    )


def missing_splits(places: Sequence[Place]) -> tuple[str, ...]:
    """Splits that the published average counts and that are not among these."""
    return tuple("/".join(place) for place in published.SPLITS if place not in places)


def _lines(
    place: str,
    quantity: str,
    found: Mapping[Cell, Found],
    known: Known,
    n_tokens: int,
    comparable: bool,
) -> tuple[Line, ...]:
    """Measured percentages beside the published ones, then published rows at the same budgets."""
    lines = list[Line]()
    line = partial(Line, place=place, quantity=quantity, unit="%", margin=MARGIN)
    for (method, budget), one in found.items():
        tokens = published_tokens(budget, n_tokens)
        label, number = known.get((method, tokens), ("", NOTHING))
        measured, error = 100 * one.spread.ciou, 100 * one.spread.error
        difference = measured - number
        low, high = difference - REACH * error, difference + REACH * error
        verdict = verdict_of(low, high, MARGIN, min(one.images), comparable)
        lines.append(
            line(
                method=method,
                label=label,
                tokens=tokens,
                budget=budget,
                published=number,
                measured=measured,
                difference=difference,
                low=low,
                high=high,
                tells=DETECTABLE * error if label else NOTHING,
                n_images=sum(one.images),
                n=one.n,
                verdict=verdict if label else "no published number",
            )
        )
    there = {(one.method, one.tokens) for one in lines}
    budgets = {tokens for _, tokens in there}
    lines += [
        line(
            method=method if method in list_pruners() else label,
            label=label,
            tokens=tokens,
            budget=budget_of(tokens, n_tokens),
            published=number,
            verdict="not measured",
        )
        for (method, tokens), (label, number) in known.items()
        if tokens in budgets and (method, tokens) not in there
    ]
    return tuple(lines)


def published_ciou(place: Place) -> Known:
    """Published name and cIoU in percent of one split, by our label and published budget."""
    column = published.SPLITS.index(place)
    return _by_cell(published.ACCURACY, column) | _unpruned(published.UNPRUNED[column])


def published_overall(quantity: str) -> Known:
    """Published name and percentage of Avg. or Rel., by our label and published budget."""
    column = (AVERAGE, SHARE).index(quantity)
    whole = _unpruned(published.UNPRUNED_AVERAGE) if quantity == AVERAGE else {}
    return _by_cell(published.AVERAGES, column) | whole


def _by_cell(table: Mapping[tuple[str, int], Sequence[float]], column: int) -> Known:
    return {
        (published.METHOD_BY_LABEL[label], tokens): (label, values[column])
        for (label, tokens), values in table.items()
    }


def _unpruned(value: float) -> Known:
    return {(UNPRUNED, published.N_TOKENS): ("unpruned", value)}


def split_cells(split: FinishedSplit) -> dict[Cell, tuple[SplitPixels, int]]:
    """Pixels and number of rows by method and budget."""
    order = split.part.order if isinstance(split.part, BalancedSubset) else ()
    found = {}
    for (method, _), cell in split.run.rows.groupby(["method", "budget"], sort=False):
        pixels = SplitPixels(*by_image(cell, order), len(split.data), ordered=bool(order))
        found[str(method), int(cell["budget"].iloc[0])] = (pixels, len(cell))
    return found


def by_image(
    cell: pd.DataFrame, order: Sequence[int] = ()
) -> tuple[Float[Array, "images draws"], Float[Array, "images draws"]]:
    """Intersections and unions of one method and budget, summed by image and draw.

    Args:
        cell: Rows of the method and budget.
        order: Ids of images that come in this order; ascending ids if it is empty.

    Raises:
        ValueError: If an image lacks a draw.
    """
    sums = cell.groupby(["image_id", "seed"], sort=True)[["inter_px", "union_px"]].sum()
    wide = sums.astype(np.float64).unstack("seed")
    if wide.isna().to_numpy().any():
        raise ValueError("an image lacks a draw that others have; run the same command again")
    if order:
        wide = wide.loc[[image for image in order if image in wide.index]]
    return wide["inter_px"].to_numpy(), wide["union_px"].to_numpy()
