"""Claims about a mean over images, and over images and categories, and about what is counted."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim, effect_claim, null_claim
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap_means
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.analysis.stats.lines import categories_of


def drawn(
    values: "pd.Series[float]", rows: pd.DataFrame, reach: Ends = OPEN, yes_no: bool = False
) -> tuple[Bootstrap, Crossed]:
    """The mean of some values with images resampled, and over images and categories.

    Args:
        values: One per expression; differences to compare pairs.
        rows: The expressions, in the same order: image_id and, where known, category_id.
        reach: The least and the largest value that can be.
        yes_no: Whether values are 0 or 1, or differences of such.

    Raises:
        ValueError: If a value is not finite, or there is none.
    """
    numbers, images = values.to_numpy(dtype=np.float64), rows["image_id"].to_numpy()
    crossed = crossed_mean(numbers, images, categories_of(rows), reach, yes_no=yes_no)
    found = bootstrap_means(numbers[:, None], images, reach=reach)
    return found._replace(yes_no=yes_no), crossed


def mean_claim(
    id: str,
    statement: str,
    values: "pd.Series[float]",
    rows: pd.DataFrame,
    null_description: str,
    *,
    null: float = 0.0,
    margin: float = float("nan"),
    excluded: Mapping[str, int] | None = None,
    reach: Ends = OPEN,
    yes_no: bool = False,
) -> Claim:
    """A claim that the mean lies above ``null``; the rest as for ``drawn``."""
    found, crossed = drawn(values, rows, reach, yes_no)
    return effect_claim(id, statement, found, null_description, excluded, margin, crossed, null)


def nothing_claim(
    id: str,
    statement: str,
    values: "pd.Series[float]",
    rows: pd.DataFrame,
    null_description: str,
    margin: float,
    *,
    null: float = 0.0,
    excluded: Mapping[str, int] | None = None,
    reach: Ends = OPEN,
) -> Claim:
    """A claim that the mean lies within ``margin`` of ``null``; the rest as for ``drawn``."""
    found, crossed = drawn(values, rows, reach)
    return null_claim(id, statement, found, null, null_description, margin, excluded, crossed)


def counted_claim(
    id: str, statement: str, value: float, null: float, null_description: str, met: bool, how: str
) -> Claim:
    """A claim about a number that is counted and the same in every call, so without an interval.

    Args:
        id: Of the claim.
        statement: As a full sentence.
        value: What was counted.
        null: What it is compared with.
        null_description: What that value stands for.
        met: Whether the statement holds.
        how: What was counted, in words.
    """
    return Claim(
        id=id,
        statement=statement,
        estimate=value,
        low=value,
        high=value,
        n_images=1,
        n=1,
        null=null,
        null_description=null_description,
        verdict="supported" if met else "not supported",
        method=how,
        unit="calls",
    )
