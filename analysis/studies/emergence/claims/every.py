"""Claims of the emergence study: which conditions move reversal and sink, and whether they link."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.studies.emergence.claims.cells import (
    cell_claims,
    interpret_cells,
    is_cell_claim,
)
from litelvlm.analysis.studies.emergence.claims.gains import gain_claims, interpret_gains
from litelvlm.analysis.studies.emergence.claims.sinks import interpret_sink, sink_claims
from litelvlm.analysis.studies.emergence.claims.trainings import (
    crossed_claim,
    mean_claim,
    training_claim,
)
from litelvlm.analysis.studies.emergence.crossed import (
    ByCategory,
    by_category,
    crossed_effects,
    crossed_mean_of,
    crossed_stage_mean,
    reversal_by_category,
)
from litelvlm.analysis.studies.emergence.effects import complete_blocks, effects_table
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.training.trainings.design import FRACTIONS

_WORDS = {"sink": "The sink of the text tower", "reversal": "The reversal that follows the text"}
POOLINGS = {"cls": ", class token", "mean": ", mean pooling"}
"""Poolings of a fractional stage, which turn the sign of the reversal, with their words."""
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

    Ids: "STAGE.OUTCOME.FACTOR" for the effects that were settled before any training,
    "STAGE.OUTCOME.CELL" for each condition that is changed alone, "base.*" for the means of a
    stage's trainings, "together", "mediator" and "sink.*" for what goes with the reversal,
    "gain.*" for what LiteLVLM gains over random tokens.

    Args:
        rows: Of the study.
        config: Gives margins and the gate.
    """
    if rows.empty:
        return []
    table = outcome_table(rows, config.gate)
    reversals = reversal_by_category(rows)
    return [
        *effect_claims(reversals, table, config),
        *base_claims(reversals, table, config),
        *cell_claims(reversals, table, config),
        *sink_claims(reversals, table, config),
        *gain_claims(rows, table, config),
    ]


def effect_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """One two-sided claim for each settled effect whose blocks are whole; p-values are Holm's.

    Effects on the reversal also have an interval over trainings and categories; the wider decides.
    """
    effects = effects_table(table)
    if effects.empty:
        return []
    found, crossed = [], crossed_effects(reversals, table, "B")
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
                crossed=crossed.get(line["factor"]) if line["outcome"] == "reversal" else None,
            )
        )
    return found


def base_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether trainings that learned have a reversal that follows the text, and a sink.

    Of the fractional stages only whole blocks count, since half a block favours some conditions,
    and the reversal is asked for each pooling, which turns its sign. Of the others only the base
    counts. Intervals of the reversal are over trainings and categories.
    """
    found = []
    for stage in sorted(set(table["stage"])):
        part = table[table["stage"] == stage]
        if stage in FRACTIONS:
            part = part[part["seed"].isin(complete_blocks(table, stage))]
        else:
            part = part[part["cell"] == "base"]
        for pooling, name in POOLINGS.items() if stage in FRACTIONS else (("", ""),):
            chosen = part[part["pooling"] == pooling] if pooling else part
            learned = chosen[chosen["learned"]].dropna(subset=["reversal"])
            seen = chosen["reversal"].notna()
            excluded = {"did not learn to find categories": int((seen & ~chosen["learned"]).sum())}
            named = (
                f"base.reversal.{stage}{f'.{pooling}' if pooling else ''}",
                f"Stage {stage}{name}: the true text is reversed more than absent categories are.",
            )
            null, margin, twice = "any text would do", config.margin, stage not in FRACTIONS
            if pooling:
                both = crossed_stage_mean(reversals, learned["training"])
            else:
                both = crossed_mean_of(by_category(reversals, table, stage, "base"))
            values = learned["reversal"].to_numpy(dtype=np.float64)
            if both is not None:
                found.append(crossed_claim(*named, both, null, margin, excluded, twice))
            elif len(values):
                found.append(mean_claim(*named, values, null, margin, excluded, two_looks=twice))
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
                    two_looks=stage not in FRACTIONS,
                )
            )
    return found


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together, and what they leave open."""
    by_verdict = {
        verdict: [c.id for c in claims if c.verdict == verdict and not is_cell_claim(c)]
        for verdict in ("supported", "not supported", "undetermined")
    }
    if not claims:
        return "No training of the family is measured yet."
    parts = [f"{verdict}: {', '.join(ids)}" for verdict, ids in by_verdict.items() if ids]
    link = "".join(f" {part}" for claim in claims if (part := interpret_sink(claim)))
    if cells := interpret_cells(claims):
        link = f"{link} {cells}"
    return (
        f"{'; '.join(parts)}.{link} Small CLIPs on drawn scenes: what holds here is not evidence "
        f"about published CLIP. {interpret_gains(claims)}"
    )
