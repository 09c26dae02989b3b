"""Claims of the importance study: overlap at the top, its positive control, and rank correlations.

A rank correlation over all tokens weighs the order of tokens that matter little, of which there are
most: the true mask itself reaches a low one. What pruning asks is whether the kept tokens are those
that matter. So H6 is about the first k tokens of both rankings at the budgets, above what random
tokens share, and the true mask shows what the measure can reach.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim, null_claim
from litelvlm.analysis.signals.clip_scores import lead_of
from litelvlm.analysis.signals.importance import ATTENTION, MAIN_TARGETS, REMOVAL
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.crossed import crossed_mean
from litelvlm.analysis.stats.lines import categories_of, category_lines
from litelvlm.analysis.studies.importance.agreement import COVERAGE, POSITION

SIGNAL_FIELDS = ("signal", "target", "layer", "head", "removal")
PARTS = {"H6.attention": (ATTENTION,), "H6.removal": REMOVAL}
SHORT = {
    "H6.attention": "attention in the middle layers",
    "H6.removal": "the loss when a token's block is dropped",
}
WORDS = {
    "soft_dice": {
        "H6.attention": "attention of the [SEG] query in the middle layers",
        "H6.removal": "the loss of soft Dice when a token's block is dropped",
    },
    "answer_log_prob": {
        "H6.attention": "attention of the answer in the middle layers",
        "H6.removal": "the loss of the answer's log-probability when a token's block is dropped",
    },
}
"""Signals by the main target of a run."""
IOU, RBO = "top_k_iou", "rbo"
MASK_SCORE, PLACE_SCORE = "coverage", "centre_distance"
SHUFFLED = "shuffled_signal"
MARGIN = 0.05  # a correlation, or an overlap corrected for chance, within it counts as none


def make_claims(rows: pd.DataFrame) -> list[Claim]:
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
    lead = lead_of(visible["score"].unique())
    parts = [_overlap(visible, id, IOU, lead, excluded) for id in PARTS]
    statement = (
        "The tokens that the reversed ranking keeps are those that matter inside the language "
        "model, more than random tokens are, by both signals."
    )
    checks = [
        claim
        for id in PARTS
        for claim in (
            _overlap(visible, id, RBO, lead, excluded),
            _overlap(visible, id, IOU, MASK_SCORE, excluded),
            _beyond_place(visible, id, excluded),
        )
        if claim is not None
    ]
    ranks = [
        claim
        for fixed in (POSITION, COVERAGE)
        for id in PARTS
        if (claim := _correlation(visible, id, fixed, excluded)) is not None
    ]
    shuffled = visible[visible["control"] == SHUFFLED]
    null = [_null(shuffled, excluded)] if len(shuffled) else []
    found = [part for part in parts if part is not None]
    joint = [joint_claim("H6", statement, found)] if len(found) == len(PARTS) else []
    return [*joint, *found, *checks, *ranks, *null]


def part_rows(
    rows: pd.DataFrame,
    id: str,
    metric: str | None,
    score: str | None,
    partial_set: str = "none",
) -> pd.DataFrame:
    """Rows of one measure of one score with the signal of one of ``PARTS``; None takes all."""
    wanted = {"control": "none", "score": score, "metric": metric}
    wanted |= {"partial_set": partial_set, "sinks": "kept"}
    matches = [rows[column] == value for column, value in wanted.items() if value is not None]
    places = np.flatnonzero(np.logical_and.reduce(matches))
    signals = zip(*(rows[name].array[places] for name in SIGNAL_FIELDS), strict=True)
    return rows.iloc[places[[signal in PARTS[id] for signal in signals]]]


def overlaps(rows: pd.DataFrame, id: str, metric: str, score: str | None = None) -> pd.DataFrame:
    """Overlap corrected for chance of each expression, mean over all budgets.

    Without a score it is that of the reversed ranking.

    Columns: value, image_id and, where rows state them, category_id and category; by sent_id.
    """
    return _of_expressions(part_rows(rows, id, metric, score or lead_of(rows["score"].unique())))


def _of_expressions(chosen: pd.DataFrame) -> pd.DataFrame:
    """Mean of the rows of each expression, as ``overlaps`` gives it."""
    kept = [name for name in ("image_id", "category_id", "category") if name in chosen]
    first = chosen.drop_duplicates("sent_id").set_index("sent_id")[kept]
    return first.assign(value=chosen.groupby("sent_id")["corrected"].mean()).sort_index()


def words_of(rows: pd.DataFrame) -> dict[str, str]:
    """The signals of ``PARTS`` in words, by the main target of the rows."""
    present = set(rows["target"])
    return WORDS[next((name for name in MAIN_TARGETS if name in present), MAIN_TARGETS[0])]


def _overlap(
    rows: pd.DataFrame, id: str, metric: str, score: str, excluded: dict[str, int]
) -> Claim | None:
    """A claim that the first k tokens overlap beyond chance; None if that was not measured."""
    chosen = part_rows(rows, id, metric, score)
    if chosen.empty:
        return None
    depths = ", ".join(str(k) for k in sorted(chosen["k"].unique(), reverse=True))
    kept = "The tokens of the true mask" if score == MASK_SCORE else "The tokens that it keeps"
    measure = "rank-biased overlap" if metric == RBO else "intersection over union"
    suffix = ".mask" if score == MASK_SCORE else {RBO: ".rbo"}.get(metric, "")
    role = "; positive control" if score == MASK_SCORE else ""
    statement = (
        f"{kept} overlap with the first by {words_of(rows)[id]} more than random tokens do "
        f"({measure} at {depths} tokens, mean{role})."
    )
    return _claim(
        id + suffix, statement, _of_expressions(chosen), "overlap of random tokens", excluded
    )


def _beyond_place(rows: pd.DataFrame, id: str, excluded: dict[str, int]) -> Claim | None:
    found, place = (overlaps(rows, id, IOU, score) for score in (None, PLACE_SCORE))
    if found.empty or place.empty:
        return None
    difference = found.assign(value=found["value"] - place["value"].reindex(found.index))
    statement = (
        f"The kept tokens overlap with the first by {words_of(rows)[id]} more than the tokens "
        "nearest to the centre do."
    )
    return _claim(f"{id}.place", statement, difference, "overlap of central tokens", excluded)


def _correlation(
    rows: pd.DataFrame, id: str, partial_set: str, excluded: dict[str, int]
) -> Claim | None:
    lead = lead_of(rows["score"].unique())
    chosen = part_rows(rows, id, "spearman", lead, partial_set).set_index("sent_id")
    if chosen.empty:
        return None
    suffix, more = (".mask", " and the mask's coverage") if partial_set == COVERAGE else ("", "")
    statement = (
        f"With position and state norm{more} held fixed, the reversed similarity ranks all tokens "
        f"as {words_of(rows)[id]} does."
    )
    name = id.replace("H6", "rank") + suffix
    return _claim(name, statement, chosen, "no partial rank correlation", excluded)


def _claim(
    id: str, statement: str, values: pd.DataFrame, null: str, excluded: dict[str, int]
) -> Claim:
    numbers, images = values["value"].to_numpy(), values["image_id"].to_numpy()
    return effect_claim(
        id,
        statement,
        bootstrap_means(numbers[:, None], images),
        null,
        excluded,
        MARGIN,
        crossed_mean(numbers, images, categories_of(values)),
    )


def _null(shuffled: pd.DataFrame, excluded: dict[str, int]) -> Claim:
    of_images = shuffled.groupby("image_id")["value"].mean()
    result = bootstrap_means(of_images.to_numpy()[:, None], of_images.index.to_numpy())
    statement = "With its tokens shuffled neither signal correlates with the reversed similarity."
    return null_claim("shuffled", statement, result, 0.0, "no rank correlation", MARGIN, excluded)


def category_table(visible: pd.DataFrame) -> pd.DataFrame:
    """What each part of H6 rests on in each category; empty where none is stated."""
    found = []
    for id in PARTS:
        lines = category_lines(overlaps(visible, id, IOU), "value")
        if not lines.empty:
            lines.insert(0, "claim", id)
            found.append(lines)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def interpret(claims: Sequence[Claim]) -> str:
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
    place = [id for id in PARTS if f"{id}.place" in by_id]
    central = [id for id in place if by_id[f"{id}.place"].verdict != "supported"]
    if both == "supported" and central:
        text += " That it exceeds the overlap of central tokens is not shown for both."
    return text


def _part(by_id: dict[str, Claim], id: str) -> str:
    claim, mask = by_id[id], by_id.get(f"{id}.mask")
    beside = f", the true mask {mask.estimate:.3f}" if mask is not None else ""
    power = f", {claim.power}" if claim.power else ""
    return f"{SHORT[id]} {claim.estimate:.3f}{beside} ({claim.verdict}{power})"
