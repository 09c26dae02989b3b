"""Lead of the paper's method over random tokens, by groups of expressions.

Both readings of the method are judged: the released code, and the paper's own rule.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE, RANDOM
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.lines import wider_ends
from litelvlm.analysis.studies.scores import Score, without_target
from litelvlm.analysis.studies.sweep.paired import budgets_of, pair_scores

LONG = 5
"""Most words of a short expression."""
READINGS = (PAPER, PAPER_RULE)


def leads(rows: pd.DataFrame, score: Score) -> Iterator[Row]:
    """Lead in a score over random tokens at each budget, over images and over categories too.

    A line for each reading of the method; none for a reading that was not run, or without random
    tokens.
    """
    chosen = rows[rows["method"].isin([*READINGS, RANDOM])]
    run = set(chosen["method"])
    if RANDOM not in run or len(run) < 2:
        return
    paired = pair_scores(chosen)
    for method in READINGS:
        for budget in budgets_of(paired.cells, method):
            cells = (method, budget), (RANDOM, budget)
            delta = paired.difference(score, *cells).estimates()[0]
            crossed = paired.crossed_difference(score, *cells)
            line = {"method": method, "budget": budget} | delta.line("delta")
            yield line | wider_ends(delta, crossed)


def strata_table(rows: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Lead of the paper's method over random tokens by kind, size of the target and words.

    Sizes are thirds of the expressions that mean something in their image; the others are a group
    of their own. The table is empty if random tokens or the method were not run.

    Columns: stratum ("kind", "size" or "words"), group, method, budget, delta (of the score), low,
    high, n_images, n, low_categories, high_categories, n_categories.
    """
    meant = rows[~without_target(rows)]
    area = meant.drop_duplicates("sent_id").set_index("sent_id")["area_frac"].rank(pct=True)
    third = pd.cut(area, [0, 1 / 3, 2 / 3, 1], labels=["small", "medium", "large"]).astype(str)
    strata = rows.assign(
        size=rows["sent_id"].map(third).fillna("no target"),
        words=np.where(rows["n_words"] > LONG, f"over {LONG} words", f"up to {LONG} words"),
    )
    lines = [
        {"stratum": stratum, "group": str(group)} | line
        for stratum in ("kind", "size", "words")
        for group, part in strata.groupby(stratum, sort=True)
        for line in leads(part, score)
    ]
    return pd.DataFrame(lines)
