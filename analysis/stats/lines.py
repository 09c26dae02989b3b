"""Lines of tables: means of columns with intervals, images resampled, and adjusted p-values."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate, bootstrap_means, mean_estimate
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.arrays import Array


def mean_line(rows: pd.DataFrame, column: str, name: str = "mean") -> dict[str, object]:
    """Mean of one column of rows that have an ``image_id``, as columns of a table's line."""
    values = rows[column].to_numpy(dtype=np.float64)
    return mean_estimate(values, rows["image_id"].to_numpy()).line(name)


def categories_of(rows: pd.DataFrame) -> Array:
    """The category of each row's referent; -1 where rows do not say."""
    if "category_id" not in rows:
        return np.full(len(rows), -1)
    found: Array = rows["category_id"].to_numpy()
    return found


def crossed_line(
    rows: pd.DataFrame, column: str, name: str = "mean", reach: Ends = OPEN
) -> dict[str, object]:
    """``mean_line`` with the interval over images and categories beside it.

    Adds low_categories and high_categories, nan where categories say nothing, and n_categories. The
    interval ends within ``reach``.
    """
    values, images = rows[column].to_numpy(dtype=np.float64), rows["image_id"].to_numpy()
    over_images = mean_estimate(values, images, reach=reach)
    found = crossed_mean(values, images, categories_of(rows), reach)
    return over_images.line(name) | wider_ends(over_images, found)


def widened(over_images: Estimate, found: Crossed) -> Estimate:
    """The estimate with the wider of its two intervals at either end."""
    if not (found.defined and over_images.defined):
        return over_images
    low, high = found.ends()
    return over_images._replace(low=min(low, over_images.low), high=max(high, over_images.high))


def wider_ends(over_images: Estimate, found: Crossed) -> dict[str, object]:
    """Columns of a line: the interval over images and categories, never narrower than the other."""
    wide = widened(over_images, found)
    return {
        "low_categories": wide.low if found.defined else np.nan,
        "high_categories": wide.high if found.defined else np.nan,
        "n_categories": found.n_categories,
    }


def wider_p(over_images: float, found: Crossed) -> float:
    """The larger of two-sided p-values against 0: over images, and over images and categories."""
    return float(np.maximum(over_images, found.p_value())) if found.defined else over_images


def category_lines(rows: pd.DataFrame, column: str, name: str = "mean") -> pd.DataFrame:
    """Mean of a column in each category of referents, with its interval over images.

    Columns: category_id, category (its name, or the number where rows hold no name), the mean, low,
    high, n_images and n; the largest mean first. Empty where the data state no categories.
    """
    stated = rows[categories_of(rows) >= 0]
    lines = [
        {
            "category_id": int(str(number)),
            "category": str(part["category"].iloc[0]) if "category" in part else str(number),
        }
        | mean_line(part, column, name)
        for number, part in stated.groupby("category_id" if len(stated) else "image_id")
    ]
    table = pd.DataFrame(lines)
    return table if table.empty else table.sort_values(name, ascending=False, ignore_index=True)


def lines_of_claims(
    claims: Mapping[str, pd.DataFrame], column: str, name: str = "mean"
) -> pd.DataFrame:
    """``category_lines`` of what each claim rests on, below each other; column "claim" is first."""
    found = {claim: category_lines(rows, column, name) for claim, rows in claims.items()}
    known = {claim: lines for claim, lines in found.items() if not lines.empty}
    if not known:
        return pd.DataFrame()
    return pd.concat(known, names=["claim"]).reset_index("claim").reset_index(drop=True)


def mean_lines(values: pd.DataFrame, name: str = "mean") -> pd.DataFrame:
    """Mean of every column, one line per column, all from the same resamples.

    Args:
        values: One row per sample, with ``image_id`` in its index. The levels of its columns become
            columns of the table, by their names.
        name: Column that holds the mean.

    Raises:
        ValueError: If a value is not finite.
    """
    images = values.index.get_level_values("image_id").to_numpy()
    found = bootstrap_means(values.to_numpy(dtype=np.float64), images)
    return lines_of(found, values.columns, name)


def lines_of(found: Bootstrap, labels: "pd.Index[str]", name: str) -> pd.DataFrame:
    """The estimates of several statistics as table lines, each after its labels."""
    lines = pd.DataFrame([estimate.line(name) for estimate in found.estimates()])
    return pd.concat([labels.to_frame(index=False), lines], axis=1)


def measured_together(values: pd.DataFrame) -> list[pd.DataFrame]:
    """Parts of a wide table without gaps: the columns that were measured on the same samples."""
    known = values.notna().to_numpy()
    return [
        values.loc[samples, (known == samples[:, None]).all(0)]
        for samples in pd.DataFrame(known.T).drop_duplicates().to_numpy()
        if samples.any()
    ]


def adjusted(
    table: pd.DataFrame, adjust: Callable[[Array], Array], by: list[str] | None = None
) -> "pd.Series[float]":
    """Column "p" adjusted within each family of lines; nan where a family has an undefined one.

    Args:
        table: With a column "p".
        adjust: Such as ``holm``.
        by: Columns whose values make a family; all lines are one if left out.
    """
    families = table.groupby(by or np.zeros(len(table)))["p"]
    return families.transform(lambda p: adjust(p.to_numpy()) if np.isfinite(p).all() else np.nan)
