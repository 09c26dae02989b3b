"""Claims of the emergence study: which conditions move reversal and sink, and whether they link."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.trainings import association
from litelvlm.analysis.studies.emergence.effects import complete_blocks, effects_table
from litelvlm.analysis.studies.emergence.gain_claims import gain_claims, interpret_gains
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.analysis.studies.emergence.training_claims import (
    MIN_TRAININGS,
    mean_claim,
    training_claim,
)
from litelvlm.embedded.family.design import FRACTIONS
from litelvlm.embedded.family.factors import Factors

_WORDS = {"sink": "The sink of the text tower", "reversal": "The reversal that follows the text"}
_FACTORS = {
    "uninformative": "captions of which half say nothing",
    "filler": "up to 30 filler words",
    "rate": "a learning rate of 3e-3 instead of 1e-3",
    "text_depth": "a text tower of 8 blocks instead of 4",
    "loss": "the sigmoid loss instead of the softmax",
    "scope": "captions of one object instead of the scene",
    "pooling": "mean pooling instead of the class token",
    "registers": "four registers instead of none",
    "categories": "64 categories instead of 4",
}


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """All claims that the measured trainings allow.

    Ids: "STAGE.OUTCOME.FACTOR" for the effects that were settled before any training, "base.*" for
    the means of a stage's trainings, "together" and "sink.causes" for the link of both phenomena,
    "gain.*" for what LiteLVLM gains over random tokens.

    Args:
        rows: Of the study.
        config: Gives margins and the gate.
    """
    if rows.empty:
        return []
    table = outcome_table(rows, config.gate)
    return [
        *effect_claims(table, config),
        *base_claims(table, config),
        *link_claims(table, config),
        *gain_claims(rows, table, config),
    ]


def effect_claims(table: pd.DataFrame, config: Config) -> list[Claim]:
    """One two-sided claim for each settled effect whose blocks are whole; p-values are Holm's."""
    effects = effects_table(table)
    if effects.empty:
        return []
    found = []
    for line in effects[effects["confirmatory"]].to_dict("records"):
        estimate = Estimate(
            line["effect"], line["low"], line["high"], line["n"], line["n"], "t over trainings"
        )
        margin = config.sink_margin if line["outcome"] == "sink" else config.margin
        statement = f"{_WORDS[line['outcome']]} changes with {_FACTORS[line['factor']]}."
        found.append(
            training_claim(
                line["name"],
                statement,
                estimate,
                "the condition changes nothing",
                p_value=line["p_holm"],
                margin=margin,
                two_sided=True,
            )
        )
    return found


def base_claims(table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether trainings that learned have a reversal that follows the text, and a sink.

    Of the fractional stages only whole blocks count, since half a block favours some conditions; of
    the others only the base.
    """
    found = []
    for stage in sorted(set(table["stage"])):
        part = table[table["stage"] == stage]
        if stage in FRACTIONS:
            part = part[part["seed"].isin(complete_blocks(table, stage))]
        else:
            part = part[part["cell"] == "base"]
        learned = part[part["learned"]]
        excluded = {"did not learn to find categories": len(part) - len(learned)}
        reversal = learned["reversal"].dropna().to_numpy(dtype=np.float64)
        if len(reversal):
            found.append(
                mean_claim(
                    f"base.reversal.{stage}",
                    f"Stage {stage}: the true text is reversed more than absent categories are.",
                    reversal,
                    "any text would do",
                    config.margin,
                    excluded,
                )
            )
        sink = part["sink"].dropna().to_numpy(dtype=np.float64)
        if len(sink):
            found.append(
                mean_claim(
                    f"base.sink.{stage}",
                    f"Stage {stage}: [EOS] attends to [SOS] more than uniform attention does.",
                    sink,
                    "uniform attention",
                    config.sink_margin,
                    {},
                )
            )
    return found


def link_claims(table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether sink and reversal go together across trainings, and whether one makes the other."""
    # The base of stage C is a cell of stage B: the same training counts once.
    conditions = [field.name for field in fields(Factors)]
    table = table.drop_duplicates([*conditions, "seed"])
    learned = table[table["learned"]].dropna(subset=["sink", "reversal"])
    found = []
    spread = learned.groupby("stage")[["sink", "reversal"]].std()
    if len(learned) >= MIN_TRAININGS and (spread.max() > 0).all():
        linked = association(
            learned["sink"].to_numpy(dtype=np.float64),
            learned["reversal"].to_numpy(dtype=np.float64),
            learned["stage"].to_numpy(),
        )
        found.append(
            training_claim(
                "together",
                "Across trainings, a stronger sink goes with a stronger reversal.",
                linked.estimate,
                "sink and reversal vary independently",
                p_value=linked.p_value,
            )
        )
    both = learned.dropna(subset=["reversal_no_sos"])
    if len(both) > 1:
        change = (both["reversal"] - both["reversal_no_sos"]).to_numpy(dtype=np.float64)
        found.append(
            mean_claim(
                "sink.causes",
                "Hiding [SOS] from [EOS] weakens the reversal that follows the text.",
                change,
                "the reversal stays without the sink",
                config.margin,
                {},
            )
        )
    return found


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together, and what they leave open."""
    by_verdict = {
        verdict: [claim.id for claim in claims if claim.verdict == verdict]
        for verdict in ("supported", "not supported", "undetermined")
    }
    if not claims:
        return "No training of the family is measured yet."
    parts = [f"{verdict}: {', '.join(ids)}" for verdict, ids in by_verdict.items() if ids]
    link = "".join(f" {_sink_part(claim)}" for claim in claims if claim.id == "sink.causes")
    return (
        f"{'; '.join(parts)}.{link} Small CLIPs on drawn scenes: what holds here is no evidence "
        f"about published CLIP. {interpret_gains(claims)}"
    )


def _sink_part(claim: Claim) -> str:
    """Whether the reversal needs the sink, by the claim about hiding [SOS]."""
    if claim.verdict == "supported" and claim.high < claim.margin:
        return f"Hiding [SOS] weakens the reversal by less than {claim.margin:g}: next to nothing."
    return {
        "supported": "Hiding [SOS] weakens the reversal, so the sink has a part in it.",
        "not supported": "The reversal does not need the sink.",
        "undetermined": "Whether the sink has a part in the reversal is open.",
    }[claim.verdict]
