"""Claims about the link of sink and reversal: across trainings, and by changing the sink."""

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.studies.emergence.claims.trainings import (
    crossed_claim,
    mean_claim,
    training_claim,
)
from litelvlm.analysis.studies.emergence.crossed import (
    ByCategory,
    by_category,
    crossed_mean_of,
)
from litelvlm.analysis.studies.emergence.links import Level, link, natural_trainings
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.training.trainings.design import LOOKED_TWICE, cell_name

MADE = "made a sink on purpose"
NOT_AT_EOS = "the text is not read at [EOS]"
MADE_CELL = cell_name({"sos_loss": 1.0})
"""Towers that were trained to have a sink."""


def sink_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether sink and reversal go together, and whether one makes the other.

    Ids: "together" (correlation among trainings of one condition), "together.cells" (among means of
    conditions), "mediator" and "mediator.cells" (the same for the alignment of the readout with the
    value path), "sink.causes" ([SOS] hidden from a trained tower), "sink.added"
    (more attention on [SOS] in a trained tower), "sink.made.STAGE" (towers trained to have a sink).
    In some trainings the true text is reversed more than absent ones, in others less. A change of
    a trained tower is therefore judged by the size of that difference, whatever its sign.
    """
    natural = natural_trainings(table)
    made = table["learned"] & ~table["repeated"] & (table["sos_loss"] > 0)
    excluded = {MADE: int(made.sum())}
    found = _linked(natural, excluded)
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
            left = excluded | {NOT_AT_EOS: len(natural) - len(both)}
            found.append(mean_claim(id, statement, change, null, config.margin, left))
    return [*found, *made_claims(reversals, table, config)]


def _linked(natural: pd.DataFrame, excluded: dict[str, int]) -> list[Claim]:
    """Whether two outcomes go together within conditions, and between their means."""
    stronger = "a stronger sink goes with a stronger reversal"
    aligned = "the alignment of the readout goes with the reversal"
    asked: tuple[tuple[str, str, str, Level, bool], ...] = (
        ("together", "sink", stronger, "within", False),
        ("together.cells", "sink", stronger, "between", False),
        ("mediator", "alignment", aligned, "within", True),
        ("mediator.cells", "alignment", aligned, "between", True),
    )
    found = []
    for id, first, statement, level, two_sided in asked:
        linked = link(natural, first, "reversal", level)
        if linked is None:
            continue
        within = level == "within"
        among = "trainings of one condition" if within else "the means of conditions"
        found.append(
            training_claim(
                id,
                f"Among {among}, {statement} that follows the text.",
                linked.estimate,
                f"{first} and reversal vary independently",
                p_value=linked.p_value,
                two_sided=two_sided,
                excluded=excluded,
                unit="trainings" if within else "cells",
            )
        )
    return found


def made_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
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
            by_category(reversals, table, str(stage), cell).reindex(pairs)
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
                    two_looks=MADE_CELL in LOOKED_TWICE,
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
            "text.",
            "not supported": "Towers trained to have a sink have no stronger reversal.",
            "undetermined": "What a sink made in training does to the reversal is open.",
        }[claim.verdict]
    return ""
