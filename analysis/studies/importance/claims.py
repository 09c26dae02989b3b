"""Claims of the importance study: overlap at the top, its positive control, and rank correlations.

A rank correlation over all tokens weighs the order of tokens that matter little, of which there are
most: the true mask itself reaches a low one. What pruning asks is whether the kept tokens are those
that matter. So H6 is about the first k tokens of both rankings at the budgets, above what random
tokens share, and the true mask shows what the measure can reach.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, joint_claim, null_claim
from litelvlm.analysis.runs.means import mean_claim
from litelvlm.analysis.signals.clip_scores import lead_of
from litelvlm.analysis.signals.targets import main_target
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.studies.importance.agreement import COVERAGE, POSITION
from litelvlm.analysis.studies.importance.config import Config
from litelvlm.analysis.studies.importance.rows import SHUFFLED
from litelvlm.analysis.studies.importance.tables import IOU, PARTS, RBO, overlaps, part_rows

SIGNALS_IN_WORDS = {
    "H6.attention": "attention in the middle layers",
    "H6.removal": "the loss when a token's block is dropped",
}
"""The two signals of H6."""
WORDS = {
    "soft_dice": ("the [SEG] query", "soft Dice"),
    "answer_log_prob": ("the answer", "the answer's log-probability"),
}
"""What attends, and what is lost, by the main target of a run."""
MASK_SCORE, PLACE_SCORE = "coverage", "centre_distance"


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """H6 and its two parts, their checks, and the rank correlations over all tokens.

    All on expressions of which at least half of the target is visible; the others are counted.

    Returns:
        H6 (both parts); H6.attention and H6.removal by intersection over union of the first k
        tokens, mean over the budgets, corrected for chance; the same by rank-biased overlap (.rbo);
        the positive control (.mask: the true mask's tokens instead of the kept ones); what is left
        beyond nearness to the centre (.place); rank.attention and rank.removal, partial Spearman
        correlations, also with the mask's coverage held fixed (.mask); and the shuffled null.
    """
    visible, excluded = primary(rows)
    if visible.empty:
        return []
    lead, margin = lead_of(visible["score"].unique()), config.margin
    attends, lost = WORDS[main_target(visible["target"])]
    words = {
        "H6.attention": f"attention of {attends} in the middle layers",
        "H6.removal": f"the loss of {lost} when a token's block is dropped",
    }

    def judged(id: str, statement: str, found: pd.DataFrame, null: str) -> list[Claim]:
        """The claim that the column "value" lies above 0; none where nothing was measured."""
        if found.empty:
            return []
        values = found["value"]
        reach = (-math.inf, 1.0)  # agreement beyond chance has no least value
        return [
            mean_claim(
                *(id, statement, values, found, null),
                margin=margin,
                excluded=excluded,
                reach=reach,
            )
        ]

    def overlap(id: str, suffix: str, metric: str, score: str, kept: str, how: str) -> list[Claim]:
        depths = sorted(part_rows(visible, id, metric, score)["k"].unique(), reverse=True)
        statement = (
            f"{kept} overlap with the first by {words[id]} more than random tokens do "
            f"({how.format(', '.join(map(str, depths)))})."
        )
        found = overlaps(visible, id, metric, score)
        return judged(id + suffix, statement, found, "overlap of random tokens")

    parts, checks, ranks = list[Claim](), list[Claim](), list[Claim]()
    it_keeps, over = "The tokens that it keeps", "intersection over union at {} tokens, mean"
    for id in PARTS:
        parts += overlap(id, "", IOU, lead, it_keeps, over)
        checks += overlap(id, ".rbo", RBO, lead, it_keeps, "rank-biased overlap at {} tokens, mean")
        of_mask = "The tokens of the true mask"
        checks += overlap(id, ".mask", IOU, MASK_SCORE, of_mask, f"{over}; positive control")
        kept, central = (overlaps(visible, id, IOU, score) for score in (lead, PLACE_SCORE))
        if not central.empty:
            beyond = kept.assign(value=kept["value"] - central["value"].reindex(kept.index))
            statement = (
                f"The kept tokens overlap with the first by {words[id]} more than the tokens "
                "nearest to the centre do."
            )
            checks += judged(f"{id}.place", statement, beyond, "overlap of central tokens")
    for fixed, suffix, more in (
        (POSITION, "", ""),
        (COVERAGE, ".mask", " and the mask's coverage"),
    ):
        for id in PARTS:
            statement = (
                f"With position and state norm{more} held fixed, the reversed similarity ranks all "
                f"tokens as {words[id]} does."
            )
            found = part_rows(visible, id, "spearman", lead, fixed).set_index("sent_id")
            name = id.replace("H6", "rank") + suffix
            ranks += judged(name, statement, found, "no partial rank correlation")
    statement = (
        "The tokens that the reversed ranking keeps are those that matter inside the language "
        "model, more than random tokens are, by both signals."
    )
    both = [joint_claim("H6", statement, parts)] if len(parts) == len(PARTS) else []
    return [*both, *parts, *checks, *ranks, *_null(visible, margin, excluded)]


def _null(rows: pd.DataFrame, margin: float, excluded: dict[str, int]) -> list[Claim]:
    shuffled = rows[rows["control"] == SHUFFLED]
    if shuffled.empty:
        return []
    of_images = shuffled.groupby("image_id")["value"].mean()
    result = bootstrap_means(of_images.to_numpy()[:, None], of_images.index.to_numpy())
    statement = "With its tokens shuffled neither signal correlates with the reversed similarity."
    null = "no rank correlation"
    return [null_claim("shuffled", statement, result, 0.0, null, margin, excluded)]


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together."""
    by_id = {claim.id: claim for claim in claims}
    if "H6" not in by_id:
        return "Nothing was measured."
    both = by_id["H6"].verdict
    parts = "; ".join(_part(by_id, id) for id in PARTS)
    text = (
        "That the tokens kept by the reversed ranking are those that matter inside the language "
        f"model is {both}. Overlap above chance: {parts}."
    )
    blind = [
        id for id in PARTS if f"{id}.mask" in by_id and by_id[f"{id}.mask"].verdict != "supported"
    ]
    if blind:
        text += (
            f" Even the true mask is not shown to overlap beyond chance for {' and '.join(blind)}, "
            "so these parts cannot tell."
        )
    seen = [id for id in PARTS if by_id[id].seen_only]
    if seen:
        text += f" For other categories than those seen, {' and '.join(seen)} is open."
    place = [by_id[f"{id}.place"].verdict for id in PARTS if f"{id}.place" in by_id]
    if both == "supported" and set(place) - {"supported"}:
        text += " That it exceeds the overlap of central tokens is not shown for both."
    return text


def _part(by_id: dict[str, Claim], id: str) -> str:
    claim, mask = by_id[id], by_id.get(f"{id}.mask")
    beside = f", the true mask {mask.estimate:.3f}" if mask is not None else ""
    power = f", {claim.power}" if claim.power else ""
    return f"{SIGNALS_IN_WORDS[id]} {claim.estimate:.3f}{beside} ({claim.verdict}{power})"
