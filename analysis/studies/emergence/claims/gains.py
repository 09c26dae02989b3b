"""Claims about LiteLVLM's gain: whether the reversal of a training predicts it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.studies.emergence.claims.trainings import (
    MIN_TRAININGS,
    mean_claim,
    training_claim,
)
from litelvlm.analysis.studies.emergence.gains import counted_gains, gains_table
from litelvlm.analysis.studies.emergence.links import Level, link, with_gains
from litelvlm.analysis.studies.emergence.rows import Config

FOLLOWS, POSITIVE, NEGATIVE = "gain.follows", "gain.positive", "gain.negative"
FOLLOWS_CELLS = "gain.follows.cells"
_GAIN = "IoU, mean of the budgets"


def gain_claims(rows: pd.DataFrame, outcomes: pd.DataFrame, config: Config) -> list[Claim]:
    """Claims over the trainings whose tower has learned and whose reader works.

    Whether gain and reversal go together is asked twice: of the trainings of one condition
    ("gain.follows"), and of the means of conditions ("gain.follows.cells").

    None if no training has a reader. All are exploratory. A training that two stages share counts
    once.

    Args:
        rows: Of the study.
        outcomes: Of ``outcome_table``.
        config: Gives margins and gates.
    """
    table = gains_table(rows, outcomes, config.reader_gate)
    if table.empty:
        return []
    with_patches = outcomes[~outcomes["repeated"]].dropna(subset=["reversal_true"])
    counted, table = counted_gains(table), table[~table["repeated"]]
    excluded = {
        "not measured with a reader": len(with_patches) - len(table),
        "did not learn to find categories": int((~table["learned"]).sum()),
        "reader does not find objects": int((table["learned"] & ~table["works"]).sum()),
    }
    found = []
    asked: tuple[tuple[str, Level, str, str], ...] = (
        (FOLLOWS, "within", "trainings of one condition", "trainings"),
        (FOLLOWS_CELLS, "between", "means of conditions", "cells"),
    )
    for id, level, among, unit in asked:
        linked = link(with_gains(outcomes, counted), "reversal_true", "gain", level)
        if linked is None:
            continue
        found.append(
            training_claim(
                id,
                f"Among {among}, the more the true text is reversed at the layer that GLaMM "
                "reads, the more LiteLVLM gains over random tokens (correlation of the reversal "
                f"index with the gain in {_GAIN}).",
                linked.estimate,
                "reversal and gain vary independently",
                p_value=linked.p_value,
                excluded=excluded,
                unit=unit,
            )
        )
    for id, part, verb in (
        (POSITIVE, counted[counted["index"] > 0], "gains over"),
        (NEGATIVE, counted[counted["index"] < 0], "loses to"),
    ):
        if part.empty:
            continue
        sign = "above" if id == POSITIVE else "below"
        found.append(
            mean_claim(
                id,
                f"In trainings whose reversal index is {sign} 0 LiteLVLM {verb} random tokens "
                f"(difference in {_GAIN}).",
                part["gain"].to_numpy(dtype=np.float64),
                "random tokens",
                config.gain_margin,
                excluded,
                "greater" if id == POSITIVE else "less",
            )
        )
    return found


def interpret_gains(claims: Sequence[Claim]) -> str:
    """Whether the reversal of a training tells what LiteLVLM gains there."""
    by_id = {claim.id: claim for claim in claims}
    if FOLLOWS not in by_id:
        return (
            "Whether the reversal at the used layer predicts what LiteLVLM gains is open: fewer "
            f"than {MIN_TRAININGS} trainings have a reader that works."
        )
    linked = by_id[FOLLOWS]
    sentence = {
        "supported": "LiteLVLM gains more over random tokens where the reversal is stronger",
        "not supported": "LiteLVLM gains no more over random tokens where the reversal is stronger",
        "undetermined": "Whether a stronger reversal gives LiteLVLM a larger gain is open",
    }[linked.verdict]
    signs = {
        POSITIVE: {
            "supported": "where the index is positive it beats them",
            "not supported": "a positive index is not enough to beat them",
            "undetermined": "whether a positive index is enough to beat them is open",
        },
        NEGATIVE: {
            "supported": "where it is negative it loses to them",
            "not supported": "a negative index does not make it lose",
            "undetermined": "whether it loses where the index is negative is open",
        },
    }
    parts = [words[by_id[id].verdict] for id, words in signs.items() if id in by_id]
    return (
        f"{'; '.join([sentence, *parts])} ({linked.n} trainings, small readers on symbols or "
        "drawn scenes, exploratory)."
    )
