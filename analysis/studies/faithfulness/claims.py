"""Claims and tables of the faithfulness study."""

from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.importance import (
    DICE,
)
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import mean_lines
from litelvlm.analysis.studies.faithfulness.rows import MOVED
from litelvlm.models.glamm.attribution.targets import TARGETS

MAIN_TARGET = TARGETS[DICE]


NULLS = {
    "random": ("random", "random order"),
    "moved": (MOVED, "the same order moved round the grid"),
}


CURVES = (
    ("F.insertion", "insertion_auc", 1, "brings the mask back sooner"),
    ("F.deletion", "deletion_auc", -1, "destroys the mask sooner"),
)


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """Whether the reversed ranking beats both nulls, by insertion and deletion, on the soft Dice.

    On expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = primary(rows)
    if visible.empty:
        return []
    claims = []
    for id, metric, sign, words in CURVES:
        areas = visible[(visible["target"] == MAIN_TARGET) & (visible["metric"] == metric)]
        wide = areas.pivot(index="image_id", columns="ranking", values="value")
        parts = []
        for name, (other, null) in NULLS.items():
            gain = (sign * (wide[REVERSED] - wide[other])).to_numpy()[:, None]
            parts.append(
                effect_claim(
                    f"{id}.{name}",
                    f"Taking tokens in the reversed order {words} than in {null}.",
                    bootstrap_means(gain, wide.index.to_numpy()),
                    f"area under the curve of the soft Dice in {null}",
                    excluded,
                )
            )
        statement = (
            f"Taking tokens in the reversed order {words} than chance and smoothness explain."
        )
        claims += [joint_claim(id, statement, parts), *parts]
    return claims


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables for figures, on expressions of which at least half of the target is visible.

    Returns:
        "curves": mean target per ranking, target, curve (insertion, deletion) and k; "measures":
        every other measure; "pruning": rankings by what keeping their first k tokens costs in soft
        Dice, the cheapest first.
    """
    rows, _ = primary(rows)
    if rows.empty:
        return {}
    wide = rows.pivot(
        index="image_id", columns=["ranking", "target", "metric", "k"], values="value"
    )
    table = mean_lines(wide, "value")
    curve = table["metric"].isin(["insertion", "deletion"])
    return {
        "curves": table[curve].rename(columns={"metric": "curve"}).reset_index(drop=True),
        "measures": table[~curve].reset_index(drop=True),
        "pruning": pruning_table(table),
    }


def pruning_table(table: pd.DataFrame) -> pd.DataFrame:
    """Sufficiency for the soft Dice, the smallest fall first at each k: pruning is sufficiency."""
    costs = table[(table["metric"] == "sufficiency") & (table["target"] == MAIN_TARGET)]
    costs = costs.sort_values(["k", "value"], ignore_index=True).drop(columns=["metric", "target"])
    return costs.assign(place=costs.groupby("k").cumcount() + 1)


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    if not claims:
        return "Nothing was measured."
    found = {claim.id: claim.verdict for claim in claims}
    texts = []
    for id, _, _, words in CURVES:
        text = f"That the reversed order {words} than chance and smoothness explain is {found[id]}"
        if found[id] != "supported" and found[f"{id}.random"] == "supported":
            text += " (than random order it does, but so may any order whose neighbours are alike)"
        texts.append(text)
    return ". ".join(texts) + "."
