"""Claims of the faithfulness study: the reversed ranking against random and moved order."""

from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim
from litelvlm.analysis.signals.clip_scores import lead_of
from litelvlm.analysis.signals.targets import MAIN_TARGETS, main_target
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.studies.faithfulness.config import Config
from litelvlm.analysis.studies.faithfulness.rows import MOVED_LEADS

CURVES = (
    ("F.insertion", "insertion_auc", 1, "brings the {} back sooner"),
    ("F.deletion", "deletion_auc", -1, "destroys the {} sooner"),
)
TOLD = {
    "soft_dice": ("mask", "soft Dice"),
    "answer_log_prob": ("answer", "answer's log-probability"),
}
"""What a model gives and what is read of it, by the main target of a run."""


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether the reversed ranking beats both nulls, by insertion and deletion, on the main target.

    On expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = primary(rows)
    if visible.empty:
        return []
    claims = []
    target, lead = main_target(visible["target"]), lead_of(visible["ranking"].unique())
    given, scalar = TOLD[target]
    nulls = {
        "random": ("random", "random order"),
        "moved": (MOVED_LEADS[lead], "the same order moved round the grid"),
    }
    for id, metric, sign, curve in CURVES:
        words = curve.format(given)
        areas = visible[(visible["target"] == target) & (visible["metric"] == metric)]
        wide = areas.pivot(index=["image_id", "sent_id"], columns="ranking", values="value")
        image_ids = wide.index.get_level_values("image_id").to_numpy()
        parts = [
            effect_claim(
                f"{id}.{name}",
                f"Taking tokens in the reversed order {words} than in {null}.",
                bootstrap_means((sign * (wide[lead] - wide[other])).to_numpy()[:, None], image_ids),
                f"area under the curve of the {scalar} in {null}",
                excluded,
            )
            for name, (other, null) in nulls.items()
        ]
        statement = (
            f"Taking tokens in the reversed order {words} than chance and smoothness explain."
        )
        claims += [joint_claim(id, statement, parts), *parts]
    return claims


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together; the tables say what the model gives."""
    if not claims:
        return "Nothing was measured."
    found = {claim.id: claim.verdict for claim in claims}
    targets = tables["curves"]["target"] if "curves" in tables else MAIN_TARGETS[:1]
    given, _ = TOLD[main_target(targets)]
    texts = []
    for id, _, _, curve in CURVES:
        words = curve.format(given)
        text = f"That the reversed order {words} than chance and smoothness explain is {found[id]}"
        if found[id] != "supported" and found[f"{id}.random"] == "supported":
            text += " (than random order it does, but so may any order whose neighbours are alike)"
        texts.append(text)
    return ". ".join(texts) + "."
