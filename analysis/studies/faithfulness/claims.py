"""Claims and tables of the faithfulness study."""

from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim
from litelvlm.analysis.signals.clip_scores import lead_of
from litelvlm.analysis.signals.importance import MAIN_TARGETS
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import mean_lines
from litelvlm.analysis.studies.faithfulness.rows import MOVED_LEADS

NULLS = {"random": "random order", "moved": "the same order moved round the grid"}


CURVES = (
    ("F.insertion", "insertion_auc", 1, "brings the {} back sooner"),
    ("F.deletion", "deletion_auc", -1, "destroys the {} sooner"),
)


TOLD = {
    "soft_dice": ("mask", "soft Dice"),
    "answer_log_prob": ("answer", "answer's log-probability"),
}
"""What a model gives and what is read of it, by the main target of a run."""


def main_target(rows: pd.DataFrame) -> str:
    """The target that claims are about: of masks, or of answers in words."""
    present = set(rows["target"])
    return next((name for name in MAIN_TARGETS if name in present), MAIN_TARGETS[0])


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """Whether the reversed ranking beats both nulls, by insertion and deletion, on the main target.

    On expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = primary(rows)
    if visible.empty:
        return []
    claims = []
    target, lead = main_target(visible), lead_of(visible["ranking"].unique())
    given, scalar = TOLD[target]
    for id, metric, sign, curve in CURVES:
        words = curve.format(given)
        areas = visible[(visible["target"] == target) & (visible["metric"] == metric)]
        wide = areas.pivot(index="image_id", columns="ranking", values="value")
        parts = []
        for name, null in NULLS.items():
            other = MOVED_LEADS[lead] if name == "moved" else name
            gain = (sign * (wide[lead] - wide[other])).to_numpy()[:, None]
            parts.append(
                effect_claim(
                    f"{id}.{name}",
                    f"Taking tokens in the reversed order {words} than in {null}.",
                    bootstrap_means(gain, wide.index.to_numpy()),
                    f"area under the curve of the {scalar} in {null}",
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
        every other measure; "pruning": rankings by what keeping their first k tokens costs in the
        main target, the cheapest first.
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
    """Sufficiency for the main target, the smallest fall first at each k, as pruning has it."""
    costs = table[(table["metric"] == "sufficiency") & (table["target"] == main_target(table))]
    costs = costs.sort_values(["k", "value"], ignore_index=True).drop(columns=["metric", "target"])
    return costs.assign(place=costs.groupby("k").cumcount() + 1)


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame] | None = None) -> str:
    """What the verdicts mean together; the tables say what the model gives."""
    if not claims:
        return "Nothing was measured."
    found = {claim.id: claim.verdict for claim in claims}
    curves = (tables or {}).get("curves")
    given, _ = TOLD[MAIN_TARGETS[0] if curves is None else main_target(curves)]
    texts = []
    for id, _, _, curve in CURVES:
        words = curve.format(given)
        text = f"That the reversed order {words} than chance and smoothness explain is {found[id]}"
        if found[id] != "supported" and found[f"{id}.random"] == "supported":
            text += " (than random order it does, but so may any order whose neighbours are alike)"
        texts.append(text)
    return ". ".join(texts) + "."
