"""Lines of accuracy: cIoU of the official protocol beside the published one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.budgets import budget_of, published_tokens
from litelvlm.analysis.reproduce.lines import DETECTABLE, REACH, Line, verdict_of
from litelvlm.analysis.reproduce.sampling import Spread, against_one_run
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.studies import published
from litelvlm.arrays import Array
from litelvlm.pruning import list_pruners

MARGIN = 1.0
"""Points of cIoU, of its mean and of Rel.; a choice, which `docs/reproduce.md` explains. No source
states how far two runs of the released evaluation lie apart."""


def accuracy_lines(
    rows: pd.DataFrame,
    place: Place,
    n_tokens: int,
    n_whole: int,
    comparable: bool,
    order: Sequence[int] = (),
) -> tuple[Line, ...]:
    """One line per method and budget of a sweep in the official protocol.

    Args:
        rows: Of the sweep.
        place: Data set and split of the published column.
        n_tokens: Visual tokens of the model before pruning.
        n_whole: Images of the whole split.
        comparable: Whether model and split are the published ones.
        order: Ids of the images in the order of a balanced part; empty for a whole split.
    """
    known, lines = published_ciou(place), list[Line]()
    for (method, _), cell in rows.groupby(["method", "budget"], sort=False):
        inter, union = by_image(cell, order)
        spread = against_one_run(inter, union, n_whole, ordered=bool(order))
        kept = int(cell["budget"].iloc[0])
        tokens = published_tokens(kept, n_tokens)
        label, number = known.get((str(method), tokens), ("", float("nan")))
        counts = LineCounts(kept, tokens, len(inter), len(cell), len(inter))
        where = LineName("/".join(place), str(method), label, "cIoU")
        lines.append(compared_line(where, counts, number, spread, comparable))
    return tuple(lines)


class LineName(NamedTuple):
    """What a line is about: place, method, published name and quantity, as in ``Line``."""

    place: str
    method: str
    label: str
    quantity: str


class LineCounts(NamedTuple):
    """What is behind a line: budget here and as published, images, expressions, smallest split."""

    budget: int
    tokens: int
    n_images: int
    n: int
    fewest: int


def compared_line(
    name: LineName, counts: LineCounts, number: float, spread: Spread, comparable: bool
) -> Line:
    """A measured percentage beside the published one.

    Args:
        name: What the line is about.
        counts: What is behind it.
        number: Published percentage; nan if there is none.
        spread: Measured share and its standard error.
        comparable: Whether model and images are the published ones.
    """
    measured, error = 100 * spread.ciou, 100 * spread.error
    difference = measured - number
    low, high = difference - REACH * error, difference + REACH * error
    found = verdict_of(low, high, MARGIN, counts.fewest, comparable)
    return Line(
        place=name.place,
        method=name.method,
        label=name.label,
        tokens=counts.tokens,
        budget=counts.budget,
        quantity=name.quantity,
        unit="%",
        published=number,
        measured=measured,
        difference=difference,
        low=low,
        high=high,
        tells=DETECTABLE * error if name.label else float("nan"),
        margin=MARGIN,
        n_images=counts.n_images,
        n=counts.n,
        verdict=found if name.label else "no published number",
    )


def unmeasured_lines(
    lines: Sequence[Line],
    place: str,
    quantity: str,
    n_tokens: int,
    known: Mapping[tuple[str, int], tuple[str, float]],
) -> Iterator[Line]:
    """Published rows at the measured budgets that have no line yet.

    Args:
        lines: What was measured.
        place: Of the lines.
        quantity: Likewise.
        n_tokens: Visual tokens of the model before pruning.
        known: Published name and percentage, by our label and published budget.
    """
    there = {(line.method, line.tokens) for line in lines}
    budgets, nothing = {line.tokens for line in lines}, float("nan")
    for (method, tokens), (label, number) in known.items():
        if tokens in budgets and (method, tokens) not in there:
            yield Line(
                place=place,
                method=method if method in list_pruners() else label,
                label=label,
                tokens=tokens,
                budget=budget_of(tokens, n_tokens),
                quantity=quantity,
                unit="%",
                published=number,
                measured=nothing,
                difference=nothing,
                low=nothing,
                high=nothing,
                tells=nothing,
                margin=MARGIN,
                n_images=0,
                n=0,
                verdict="not measured",
            )


def published_ciou(place: Place) -> dict[tuple[str, int], tuple[str, float]]:
    """Published name and cIoU in percent of one split, by our label and published budget."""
    column = published.SPLITS.index(place)
    found = {
        (published.METHOD_BY_LABEL[label], tokens): (label, values[column])
        for (label, tokens), values in published.ACCURACY.items()
        if label in published.METHOD_BY_LABEL
    }
    whole = ("unpruned", published.UNPRUNED[column])
    return found | {(UNPRUNED, published.N_TOKENS): whole}


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
