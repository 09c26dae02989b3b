"""Lines of accuracy: cIoU of the official protocol beside the published one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.budgets import published_tokens
from litelvlm.analysis.reproduce.lines import DETECTABLE, REACH, Line, verdict_of
from litelvlm.analysis.reproduce.sampling import against_one_run
from litelvlm.analysis.reproduce.settings import Place
from litelvlm.analysis.studies import published
from litelvlm.arrays import Array

MARGIN = 1.0
"""Points of cIoU; a choice, which `docs/reproduce.md` explains. No source states how far two runs
of the released evaluation lie apart."""


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
        measured, error = 100 * spread.ciou, 100 * spread.error
        kept = int(cell["budget"].iloc[0])
        tokens = published_tokens(kept, n_tokens)
        label, number = known.get((str(method), tokens), ("", float("nan")))
        difference = measured - number
        low, high = difference - REACH * error, difference + REACH * error
        found = verdict_of(low, high, MARGIN, len(inter), comparable)
        line = Line(
            place="/".join(place),
            method=str(method),
            label=label,
            tokens=tokens,
            budget=kept,
            quantity="cIoU",
            unit="%",
            published=number,
            measured=measured,
            difference=difference,
            low=low,
            high=high,
            tells=DETECTABLE * error if label else float("nan"),
            margin=MARGIN,
            n_images=len(inter),
            n=len(cell),
            verdict=found if label else "no published number",
        )
        lines.append(line)
    return tuple(lines)


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
