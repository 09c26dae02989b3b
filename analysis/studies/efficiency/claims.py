"""Claims of the bench: the paper's headline numbers on time and on stored activations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.runs.means import counted_claim
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.studies.efficiency.config import Config
from litelvlm.analysis.studies.efficiency.tables import timed_part
from litelvlm.analysis.studies.efficiency.timing import DECODE, END, PREFILL, median_ratio
from litelvlm.arrays import Array

_THIRD = 3
"""Claims are about a third of the tokens."""


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Time and memory at a third of the tokens, for each number of expressions.

    Returns:
        "time" (the whole call, or the prefill where no whole call is timed, falls as published;
        GPU time where there is one) and "memory" (activations that the prefill stores shrink as
        published; counted, so without an interval). With several expressions their number
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
        k = whole // _THIRD
        found = (
            _time(base, arms, k, config.time_fall),
            _memory(base, arms, k, config.memory_ratio),
        )
        claims += [
            claim.model_copy(update={"id": f"{claim.id}{suffix}"})
            for claim in found
            if claim is not None
        ]
    return claims


def _time(base: pd.DataFrame, arms: pd.DataFrame, k: int, fall: float) -> Claim | None:
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
        f"With {k} tokens the time of the {what} falls by {fall:.0%} at least ({metric}).",
        estimate,
        fall,
        "fall as published, of a model of 7 billion weights on one kind of GPU",
    ).model_copy(update={"unit": "rounds"})


def _rounds(rows: pd.DataFrame, component: str, metric: str) -> Array:
    chosen = rows[(rows["component"] == component) & (rows["metric"] == metric)]
    timed = chosen[chosen["round"] >= 0].sort_values("round")
    return timed["value"].to_numpy(dtype=np.float64)


def _memory(base: pd.DataFrame, arms: pd.DataFrame, k: int, times: float) -> Claim | None:
    sizes = [
        side.loc[side["metric"] == "activation_bytes", "value"].to_numpy() for side in (base, arms)
    ]
    if not all(len(size) == 1 for size in sizes):
        return None
    ratio = float(sizes[0][0] / sizes[1][0])
    return counted_claim(
        "memory",
        f"With {k} tokens the prefill stores activations {times:g} times smaller at least.",
        ratio,
        times,
        "as published, of a model of 7 billion weights",
        ratio >= times,
        "bytes of every tensor written, counted: the same in every call",
    )


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """What the medians say: the method's speed, the null, and the cost of choosing tokens.

    Args:
        claims: As made by ``make_claims``; the medians say more.
        tables: As made by ``make_tables``.
    """
    ratios, times = tables["ratios"], tables["times"]
    part = timed_part(ratios)
    ours = ratios[
        (ratios["method"] == PAPER)
        & (ratios["component"] == part)
        & (ratios["metric"] == "wall_ms")
    ]
    speeds = [
        f"{line.ratio:.2f}x [{line.low:.2f}, {line.high:.2f}] with {line.k} tokens "
        f"for {line.n_text} expression(s)"
        for line in ours.sort_values(["n_text", "k"]).itertuples()
    ]
    what = "whole call" if part == END else "prefill"
    found = [
        f"{PAPER}, {what} of the unpruned model over its own: {'; '.join(speeds) or 'not timed'}."
    ]
    nulls = tables["null"]
    for line in nulls[(nulls["component"] != DECODE) & (nulls["metric"] == "wall_ms")].itertuples():
        verdict = "equals that of" if line.equal else "differs beyond the interval from that of"
        where = "whole call, which still chooses," if line.component == END else "prefill"
        found.append(
            f"With all tokens kept, the {where} {verdict} the unpruned model "
            f"for {line.n_text} expression(s): "
            f"{line.ratio:.3f} [{line.low:.3f}, {line.high:.3f}]."
        )
    walls = times[(times["metric"] == "wall_ms") & times["method"].isin([PAPER, UNPRUNED])]
    arms = walls.pivot_table(
        index=["n_text", "k", "method"], columns="component", values="value"
    ).reset_index()
    for arm in arms.to_dict("records"):
        where = f"{arm['method']}, {arm['k']} tokens, {arm['n_text']} expression(s)"
        if arm["method"] == PAPER and {"selection", "clip_image"} <= set(arm):
            share = arm["selection"] / arm["clip_image"]
            found.append(
                f"{where}: choosing, the text tower included, takes {share:.1%} of the time "
                "of CLIP's image tower."
            )
        if DECODE in arm:
            found.append(f"{where}: {1000 / arm[DECODE]:.0f} answer tokens per second.")
    return " ".join(found)
