"""Effects of the design's factors on the outcomes, with Holm's adjustment over what was settled."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.significance import benjamini_hochberg, holm
from litelvlm.analysis.stats.trainings import Effect, blocked_effects
from litelvlm.arrays import Array
from litelvlm.training.trainings.design import CONFIRMATORY, FRACTIONS, members

SEEN_BY_STAGE = {
    "A": ("sink", "sink_captions", "sink_uninformative", "largest_head", "found"),
    "B": ("reversal", "reversal_true", "reversal_rest", "alignment", "sink", "found"),
}
"""Outcomes of each fractional stage that effects are computed for; the first is its main one."""


def complete_blocks(table: pd.DataFrame, stage: str) -> list[int]:
    """Seeds of which every cell of a stage is measured."""
    cells = {member.cell for member in members((stage,))}
    part = table[table["stage"] == stage]
    seeds = sorted(set(part["seed"].tolist()))
    return [seed for seed in seeds if set(part.loc[part["seed"] == seed, "cell"]) >= cells]


def balanced(
    table: pd.DataFrame, stage: str, outcome: str
) -> tuple[pd.DataFrame, Float[Array, "n"]] | None:
    """Trainings of the complete blocks of a stage and their outcomes.

    None if no block is complete, or a training of them lacks the outcome.
    """
    part = table[(table["stage"] == stage) & table["seed"].isin(complete_blocks(table, stage))]
    values = part[outcome].to_numpy(dtype=np.float64)
    return (part, values) if len(part) and np.isfinite(values).all() else None


def stage_effects(
    table: pd.DataFrame, stage: str, outcome: str, joint: bool = False
) -> dict[str, Effect]:
    """Effects of a stage's factors on one outcome; none if no block is complete.

    All trainings of complete blocks count, those that did not learn too: leaving some out would
    undo the balance.

    Args:
        table: Of ``outcome_table``.
        stage: "A" or "B".
        outcome: Column of the table.
        joint: Estimate joint effects of two factors beside the single ones, and give those, named
            "FIRST:SECOND". The 16 cells of a stage are such that no two of its ten pairs are
            confused with each other or with a single factor.
    """
    factors, chosen = FRACTIONS[stage], balanced(table, stage, outcome)
    if chosen is None:
        return {}
    part, values = chosen
    high = {name: (part[name] == levels[1]).to_numpy() for name, levels in factors.items()}
    if joint:
        pairs = combinations(factors, 2)
        high |= {f"{first}:{second}": high[first] == high[second] for first, second in pairs}
    effects = blocked_effects(values, np.column_stack([*high.values()]), part["seed"].to_numpy())
    found = dict(zip(high, effects, strict=True))
    return {name: found[name] for name in found if (name not in factors) == joint}


def effects_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every effect of every fractional stage.

    Returns:
        name, stage, outcome, factor, levels "low_level" and "high_level", confirmatory, effect,
        low, high, n (trainings), n_images (the same), p, p_holm (confirmatory ones, over all that
        were settled; one that is not measured yet counts with p = 1) and q (Benjamini-Hochberg over
        the others).
    """
    lines: list[Row] = []
    for stage, outcomes in SEEN_BY_STAGE.items():
        for outcome in outcomes:
            for factor, (estimate, p_value) in stage_effects(table, stage, outcome).items():
                name = f"{stage}.{outcome}.{factor}"
                low, high = FRACTIONS[stage][factor]
                line: Row = {"name": name, "stage": stage, "outcome": outcome, "factor": factor}
                line |= {"low_level": str(low), "high_level": str(high)}
                line |= {"confirmatory": name in CONFIRMATORY} | estimate.line("effect")
                lines.append(line | {"p": p_value})
    if not lines:
        return pd.DataFrame()
    effects = pd.DataFrame(lines)
    p_values = effects.set_index("name")["p"]
    adjusted = holm(np.array([float(p_values.get(name, 1.0)) for name in CONFIRMATORY]))
    effects["p_holm"] = effects["name"].map(dict(zip(CONFIRMATORY, adjusted.tolist(), strict=True)))
    rest = ~effects["confirmatory"]
    effects["q"] = np.nan
    if rest.any():
        effects.loc[rest, "q"] = benjamini_hochberg(effects.loc[rest, "p"].to_numpy(dtype=float))
    return effects


def interactions_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every joint effect of two factors on the main outcome of their stage; all exploratory.

    Args:
        table: Of ``outcome_table``.

    Returns:
        stage, outcome, first, second (the factors), effect (mean where both factors have the same
        level minus mean where they have not), low, high, n (trainings), n_images (the same), p
        (permutation within seeds) and q (Benjamini-Hochberg over all lines); no line for a stage
        without a complete block.
    """
    lines: list[Row] = []
    for stage, (outcome, *_) in SEEN_BY_STAGE.items():
        for name, (estimate, p_value) in stage_effects(table, stage, outcome, joint=True).items():
            first, second = name.split(":")
            line: Row = {"stage": stage, "outcome": outcome, "first": first, "second": second}
            lines.append(line | estimate.line("effect") | {"p": p_value})
    if not lines:
        return pd.DataFrame()
    joint = pd.DataFrame(lines)
    return joint.assign(q=benjamini_hochberg(joint["p"].to_numpy(dtype=float)))
