"""Joint effects of two factors: whether the effect of one depends on the level of the other."""

from itertools import combinations

import numpy as np
import pandas as pd

from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.stats.trainings import blocked_effects
from litelvlm.analysis.studies.emergence.effects import balanced
from litelvlm.training.trainings.design import FRACTIONS

MAIN_OUTCOME = {"A": "sink", "B": "reversal"}
"""The outcome that each fractional stage was made for."""


def interactions_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every joint effect of two factors on the main outcome of their stage; all exploratory.

    The 16 cells of a stage are such that no two of its ten pairs are confused with each other or
    with a single factor. All are estimated together, beside the single factors and the seeds.

    Args:
        table: Of ``outcome_table``.

    Returns:
        stage, outcome, first, second (the factors), effect (mean where both factors have the same
        level minus mean where they have not), low, high, n (trainings), n_images (the same), p
        (permutation within seeds) and q (Benjamini-Hochberg over all lines); no line for a stage
        without a complete block.
    """
    lines = []
    for stage, outcome in MAIN_OUTCOME.items():
        factors, chosen = FRACTIONS[stage], balanced(table, stage, outcome)
        if chosen is None:
            continue
        part, values = chosen
        high = {name: (part[name] == levels[1]).to_numpy() for name, levels in factors.items()}
        pairs = list(combinations(factors, 2))
        columns = [*high.values(), *(high[first] == high[second] for first, second in pairs)]
        found = blocked_effects(values, np.column_stack(columns), part["seed"].to_numpy())
        for (first, second), (estimate, p_value) in zip(pairs, found[len(high) :], strict=True):
            lines.append(
                {"stage": stage, "outcome": outcome, "first": first, "second": second}
                | {"effect": estimate.value, "low": estimate.low, "high": estimate.high}
                | {"n": estimate.n, "n_images": estimate.n_images, "p": p_value}
            )
    if not lines:
        return pd.DataFrame()
    joint = pd.DataFrame(lines)
    return joint.assign(q=benjamini_hochberg(joint["p"].to_numpy(dtype=float)))
