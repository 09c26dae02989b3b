"""All tables of a sweep's summary."""

import pandas as pd

from litelvlm.analysis.stats.bootstrap import RESAMPLES
from litelvlm.analysis.studies.sweep.no_target import no_target_table, without_target
from litelvlm.analysis.studies.sweep.tables import (
    comparison_table,
    score_bootstrap,
    score_table,
    seed_table,
    stratum_table,
    token_table,
    widen,
)


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (cIoU, gIoU, P@0.5 per cell), "comparisons" (paired differences and retention),
        "seeds" (each draw alone), "tokens" (tokens at the input and per layer) and, where there are
        such expressions, "kinds" (scores by kind) and "no_target" (N-acc, T-acc and the scores that
        go with them).
    """
    if rows.empty:
        return {}
    wide = widen(rows)
    scores = score_bootstrap(wide, resamples, seed)
    found = {
        "scores": score_table(wide, scores),
        "comparisons": comparison_table(wide, scores, resamples, seed),
        "seeds": seed_table(rows),
        "tokens": token_table(rows),
    }
    if rows["kind"].nunique() > 1:
        found["kinds"] = stratum_table(rows, "kind", resamples, seed)
    if without_target(rows).any():
        found["no_target"] = no_target_table(rows, resamples, seed)
    return found
