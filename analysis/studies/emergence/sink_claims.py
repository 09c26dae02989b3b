"""Claims about the link of sink and reversal: across trainings, and by changing the sink."""

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.trainings import association
from litelvlm.analysis.studies.emergence.crossed import by_category, crossed_mean_of
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.analysis.studies.emergence.training_claims import (
    MIN_TRAININGS,
    crossed_claim,
    mean_claim,
    training_claim,
)
from litelvlm.embedded.family.design import cell_name

MADE = "made a sink on purpose"
MADE_CELL = cell_name({"sos_loss": 1.0})
"""Towers that were trained to have a sink."""


def sink_claims(rows: pd.DataFrame, table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether sink and reversal go together, and whether one makes the other.

    Ids: "together" (correlation), "sink.causes" ([SOS] hidden from a trained tower), "sink.added"
    (more attention on [SOS] in a trained tower), "sink.made.STAGE" (towers trained to have a sink).
    In some trainings the true text is reversed more than absent ones, in others less. A change of
    a trained tower is therefore judged by the size of that difference, whatever its sign.
    """
    counted = table[table["learned"] & ~table["repeated"]]
    learned = counted.dropna(subset=["sink", "reversal"])
    made = learned["sos_loss"] > 0
    natural, excluded = learned[~made], {MADE: int(made.sum())}
    found = _together(natural, excluded)
    for id, statement, column, sign in (
        (
            "sink.causes",
            "Hiding [SOS] from [EOS] weakens what of the reversal follows the text, whatever its "
            "sign.",
            "reversal_no_sos",
            -1,
        ),
        (
            "sink.added",
            "Drawing the attention of [EOS] to [SOS] strengthens what of the reversal follows the "
            "text, whatever its sign.",
            "reversal_more_sos",
            1,
        ),
    ):
        both = natural.dropna(subset=[column])
        if len(both) > 1:
            grown = both[column].abs() - both["reversal"].abs()
            change = sign * grown.to_numpy(dtype=np.float64)
            null = "its size stays as it is"
            found.append(mean_claim(id, statement, change, null, config.margin, excluded))
    return [*found, *made_claims(rows, table, config)]


def _together(natural: pd.DataFrame, excluded: dict[str, int]) -> list[Claim]:
    spread = natural.groupby("stage")[["sink", "reversal"]].std()
    if len(natural) < MIN_TRAININGS or not (spread.max() > 0).all():
        return []
    linked = association(
        natural["sink"].to_numpy(dtype=np.float64),
        natural["reversal"].to_numpy(dtype=np.float64),
        natural["stage"].to_numpy(),
    )
    return [
        training_claim(
            "together",
            "Across trainings, a stronger sink goes with a stronger reversal.",
            linked.estimate,
            "sink and reversal vary independently",
            p_value=linked.p_value,
            excluded=excluded,
        )
    ]


def made_claims(rows: pd.DataFrame, table: pd.DataFrame, config: Config) -> list[Claim]:
    """What a sink does that was made in training: towers with it minus the base, by seed.

    Both must have learned. The sink must be there too: a mean log lift above ``sink_margin``. The
    interval is over trainings and categories.
    """
    found = []
    for stage, part in table.groupby("stage"):
        base = part[part["cell"] == "base"].set_index("seed")
        made = part[part["cell"] == MADE_CELL].set_index("seed")
        shared = [seed for seed in made.index if seed in base.index]
        learned = made.loc[shared, "learned"] & base.loc[shared, "learned"]
        there = made.loc[shared, "sink"] > config.sink_margin
        pairs = [seed for seed in shared if learned[seed] and there[seed]]
        own, other = (
            by_category(rows, table, str(stage), cell).reindex(pairs)
            for cell in (MADE_CELL, "base")
        )
        mean = crossed_mean_of((own - other).dropna(axis=1))
        if mean is not None:
            excluded = {
                "did not learn to find categories": int((~learned).sum()),
                "the sink is not there": int((learned & ~there).sum()),
            }
            found.append(
                crossed_claim(
                    f"sink.made.{stage}",
                    f"Stage {stage}: a sink made in training strengthens the reversal that "
                    "follows the text.",
                    mean,
                    "the reversal is that of the base with the same seed",
                    config.margin,
                    excluded,
                )
            )
    return found


def interpret_sink(claim: Claim) -> str:
    """What one claim says of the sink's part; empty for a claim about something else."""
    if claim.id == "sink.causes" and claim.verdict == "supported" and claim.high < claim.margin:
        return f"Hiding [SOS] weakens the reversal by less than {claim.margin:g}: next to nothing."
    if claim.id == "sink.causes":
        return {
            "supported": "Hiding [SOS] weakens the reversal, so the sink has a part in it.",
            "not supported": "Hiding [SOS] does not weaken the reversal.",
            "undetermined": "Whether the sink has a part in the reversal is open.",
        }[claim.verdict]
    if claim.id == "sink.added":
        return {
            "supported": "More attention on [SOS] strengthens it.",
            "not supported": "More attention on [SOS] does not strengthen it.",
            "undetermined": "What more attention on [SOS] does to it is open.",
        }[claim.verdict]
    if claim.id.startswith("sink.made."):
        return {
            "supported": "Towers trained to have a sink have a stronger reversal that follows the "
            "text; five of the ten pairs were planned after a first look, so this is a lead.",
            "not supported": "Towers trained to have a sink have no stronger reversal.",
            "undetermined": "What a sink made in training does to the reversal is open.",
        }[claim.verdict]
    return ""
