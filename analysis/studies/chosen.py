"""Expressions that pictures show, chosen by their scores and not by eye."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.data.dataset import Dataset, Expression, Sample


def at_percentiles(scores: "pd.Series[float]", percentiles: Sequence[int]) -> dict[int, int]:
    """Expressions (``sent_id``, the index of the scores) at fixed percentiles, by percentile.

    Example:
        >>> at_percentiles(pd.Series(range(11), index=range(100, 111)), (10, 50, 95))
        {10: 101, 50: 105, 95: 109}
    """
    ordered = scores.sort_values(kind="stable").index
    return {p: int(ordered[int(p / 100 * (len(ordered) - 1))]) for p in percentiles}


def expression_of(data: Dataset, sent_id: int) -> tuple[Sample, Expression]:
    """The expression of that id with its image."""
    samples = (data[index] for index in range(len(data)))
    return next((s, e) for s in samples for e in s.expressions if int(e.sent_id) == sent_id)
