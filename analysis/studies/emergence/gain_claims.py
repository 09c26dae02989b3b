"""Claims about LiteLVLM's gain: whether the reversal of a training predicts it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.trainings import association
from litelvlm.analysis.studies.emergence.gains import gains_table
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.analysis.studies.emergence.training_claims import (
    MIN_TRAININGS,
    mean_claim,
    training_claim,
)

FOLLOWS, POSITIVE, NEGATIVE = "gain.follows", "gain.positive", "gain.negative"
_GAIN = "IoU, mean of the budgets"


def gain_claims(rows: pd.DataFrame, outcomes: pd.DataFrame, config: Config) -> list[Claim]:
    """Three claims over the trainings whose tower has learned and whose reader works.

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
    table = table[~table["repeated"]]
    counted = table[table["learned"] & table["works"]]
    excluded = {
        "not measured with a reader": len(with_patches) - len(table),
        "did not learn to find categories": int((~table["learned"]).sum()),
        "reader does not find objects": int((table["learned"] & ~table["works"]).sum()),
    }
    found = []
    spread = counted.groupby("stage")[["index", "gain"]].std()
    if len(counted) >= MIN_TRAININGS and (spread.max() > 0).all():
        linked = association(
            counted["index"].to_numpy(dtype=np.float64),
            counted["gain"].to_numpy(dtype=np.float64),
            counted["stage"].to_numpy(),
        )
        found.append(
            training_claim(
                FOLLOWS,
                "Across trainings, the more the true text is reversed at the layer that GLaMM "
                "reads, the more LiteLVLM gains over random tokens (correlation of the reversal "
                f"index with the gain in {_GAIN}, both without the mean of their stage).",
                linked.estimate,
                "reversal and gain vary independently",
                p_value=linked.p_value,
                excluded=excluded,
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
