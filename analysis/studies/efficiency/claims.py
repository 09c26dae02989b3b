"""Claims of the bench: the paper's headline numbers on time and on stored activations."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.studies.efficiency.timing import END, PREFILL, median_ratio
from litelvlm.arrays import Array

TIME_FALL, MEMORY_RATIO = 0.22, 2.3
"""At a third of the tokens (192 of 576), as published."""
_THIRD = 3


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """Time and memory at a third of the tokens, for each number of expressions.

    Returns:
        "time" (the whole call, or the prefill where no whole call is timed, falls by 22 % at least;
        GPU time where there is one) and "memory" (activations that the prefill stores shrink 2.3
        times at least; counted, so without an interval). With several expressions their number
        stands behind an @. Empty if no such budget was run.
    """
    if rows.empty:
        return []
    whole = int(rows["k"].max())
    claims = []
    for n_text, part in rows.groupby("n_text"):
        suffix = f"@{n_text}" if rows["n_text"].nunique() > 1 else ""
        arms = part[(part["method"] == PAPER) & (part["k"] == whole // _THIRD)]
        base = part[part["method"] == UNPRUNED]
        if arms.empty or base.empty:
            continue
        found = (_time(base, arms, whole // _THIRD), _memory(base, arms, whole // _THIRD))
        claims += [
            claim.model_copy(update={"id": f"{claim.id}{suffix}"})
            for claim in found
            if claim is not None
        ]
    return claims


def _time(base: pd.DataFrame, arms: pd.DataFrame, k: int) -> Claim | None:
    metric = "cuda_ms" if (arms["metric"] == "cuda_ms").any() else "wall_ms"
    component = END if (arms["component"] == END).any() else PREFILL
    before, after = (_rounds(side, component, metric) for side in (base, arms))
    if not len(after) or len(before) != len(after):
        return None
    ratio, low, high = median_ratio(after, before)
    estimate = Estimate(
        1 - ratio, 1 - high, 1 - low, len(after), len(after), "95% bootstrap of rounds"
    )
    what = "whole call" if component == END else "prefill"
    return make_claim(
        "time",
        f"With {k} tokens the time of the {what} falls by {TIME_FALL:.0%} at least ({metric}).",
        estimate,
        TIME_FALL,
        "fall as published, of a model of 7 billion weights on one kind of GPU",
    ).model_copy(update={"unit": "rounds"})


def _rounds(rows: pd.DataFrame, component: str, metric: str) -> Array:
    chosen = rows[(rows["component"] == component) & (rows["metric"] == metric)]
    timed = chosen[chosen["round"] >= 0].sort_values("round")
    return timed["value"].to_numpy(dtype=np.float64)


def _memory(base: pd.DataFrame, arms: pd.DataFrame, k: int) -> Claim | None:
    sizes = [
        side.loc[side["metric"] == "activation_bytes", "value"].to_numpy() for side in (base, arms)
    ]
    if not all(len(size) == 1 for size in sizes):
        return None
    ratio = float(sizes[0][0] / sizes[1][0])
    return Claim(
        id="memory",
        statement=(
            f"With {k} tokens the prefill stores activations {MEMORY_RATIO:g} times smaller "
            "at least."
        ),
        estimate=ratio,
        low=ratio,
        high=ratio,
        n_images=1,
        n=1,
        null=MEMORY_RATIO,
        null_description="as published, of a model of 7 billion weights",
        verdict="supported" if ratio >= MEMORY_RATIO else "not supported",
        method="bytes of every tensor written, counted: the same in every call",
        unit="calls",
    )
