"""Tables of the reversal study: means with intervals over its rows, as figures show them."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.analysis.stats.bootstrap import check_finite
from litelvlm.analysis.stats.ends import INDEX
from litelvlm.analysis.stats.lines import (
    crossed_line,
    lines_of_claims,
    mean_line,
    mean_lines,
    measured_together,
)
from litelvlm.analysis.studies.constructions import PRIMARY, SUBSTITUTES, Construction, select
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.rows import TEXT_FREE

UNLABELLED = "cannot be labelled in this model's crop"
"""Why an expression of the model's own rows is missing from those of another CLIP model."""
MANY_WORDS = 10
"""From this length on, expressions stand in one group."""
CONTROLS = {
    "reversal": None,
    "beyond other masks": "other_masks",
    "true text": "other_text",
    "referent": "same_category_object",
}
"""What each difference to a control shows; the reversal itself has none."""
CATEGORY_CLAIMS = {
    "reversal": "H1.sign",
    "beyond other masks": "H1.centre",
    "true text": "H2",
    "referent": "H3",
}
"""The claim that rests on each difference."""
STRATA = ("kind", "area_quintile", "category", "n_words", "visible", "n_same_category", "split")
_SIDES = {"lowest": "rec_low", "highest": "rec_high", "random": "chance_rec"}


def unlabelled(rows: pd.DataFrame, clip: str) -> int:
    """Number of expressions with rows of the model's own tower and none of this CLIP model."""
    names = (own_ranker(rows), clip)
    own, there = (set(rows.loc[rows["clip_model"] == name, "sent_id"]) for name in names)
    return len(own - there)


def primary_of(ranker: str) -> Construction:
    """The primary ranking of what ranks the tokens: a CLIP model, or a substitute for CLIP.

    Args:
        ranker: Value of the column ``clip_model``.

    Example:
        >>> primary_of("") == primary_of("open_clip:ViT-B-16/openai") == PRIMARY
        True
    """
    return SUBSTITUTES.get(ranker, PRIMARY)


def own_ranker(rows: pd.DataFrame) -> str:
    """What ranks the tokens of the model itself: its towers (""), or the first substitute."""
    present = set(rows["clip_model"])
    return next((name for name in ("", *SUBSTITUTES) if name in present), "")


def control_ri(rows: pd.DataFrame, control: str, key: Construction) -> "pd.Series[float]":
    """RI under a control of the primary ranking: by another mask, or by other texts."""
    probe, layer, sim, text = key
    mode = "shuffled" if control == "other_text" else text
    return select(rows, (probe, layer, sim, mode), control)["ri"]


def differences(rows: pd.DataFrame, key: Construction) -> dict[str, "pd.Series[float]"]:
    """RI of the primary ranking, and what it exceeds each of ``CONTROLS`` by, by expression."""
    true = select(rows, key)["ri"]
    return {
        name: (
            true if control is None else true - control_ri(rows, control, key).reindex(true.index)
        ).dropna()
        for name, control in CONTROLS.items()
    }


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "ri" per construction and "layers" of every CLIP model; of the model's own "recall" per
        budget and ranking, "strata" and "area" of the primary ranking's RI, "categories" with what
        each claim rests on by category, and "moments" of stills. Empty if no target is visible
        enough.
    """
    visible = rows[rows["visible_frac"] >= MIN_VISIBLE]
    if visible.empty:
        return {}
    ranker = own_ranker(rows)
    key, own = primary_of(ranker), visible[visible["clip_model"] == ranker]
    primary = select(own, key)
    lens = visible[
        (visible["control"] == "none")
        & (visible["sim"] == "dot")
        & (visible["text_mode"] == "template")
        & (visible["labels"] == "primary")
    ]
    named = ["clip_model", "control", "probe", "layer", "sim", "text_mode", "labels"]
    found = {"ri": _ri_by(visible, named)}
    lens = lens[lens["layer"] < 0]  # substitutes belong to no layer
    if not lens.empty:
        found["layers"] = _ri_by(lens, ["clip_model", "layer"])
    if primary.empty:
        return found
    categories = categories_table(own, key)
    if not categories.empty:
        found["categories"] = categories
    if "frame" in primary:
        found["moments"] = moments_table(primary)
    return found | {
        "recall": recall_table(own, key),
        "strata": strata_table(select(rows[rows["clip_model"] == ranker], key, min_visible=0.0)),
        "area": area_table(primary),
    }


def _ri_by(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Mean RI of each group; groups with the same expressions share one set of resamples."""
    check_finite(rows["ri"].to_numpy(), "ri")
    wide = rows.pivot(index=["image_id", "sent_id"], columns=names, values="ri")
    lines = [mean_lines(part, "ri") for part in measured_together(wide)]
    return pd.concat(lines).sort_values(names, ignore_index=True)


def recall_table(rows: pd.DataFrame, key: Construction) -> pd.DataFrame:
    """Share of the mask kept at each budget: by similarity, at random, text-free, by the mask."""
    budgets = sorted(
        int(name.removeprefix("rec_low_")) for name in rows.columns if name.startswith("rec_low_")
    )
    primary, free = select(rows, key), rows[rows["control"] == "text_free"]
    wanted = [("similarity", side, primary, f"{column}_") for side, column in _SIDES.items()]
    wanted += [
        (name, "highest", free[free["probe"] == name], "rec_high_")
        for name in sorted(set(free["probe"]), key=_place)
    ]
    wanted.append(("mask", "highest", rows[rows["control"] == "oracle"], "rec_high_"))
    found = {}
    for ranking, side, chosen, prefix in wanted:
        if not chosen.empty:
            at_budgets = chosen.set_index("image_id")[[f"{prefix}{k}" for k in budgets]]
            found[ranking, side] = mean_lines(
                at_budgets.set_axis(pd.Index(budgets, name="budget"), axis=1), "recall"
            )
    names = ["ranking", "kept"]
    return pd.concat(found, names=names).reset_index(names).reset_index(drop=True)


def _place(probe: str) -> tuple[int, str]:
    """Text-free scores in the order of ``TEXT_FREE``, others behind by name."""
    return (TEXT_FREE.index(probe) if probe in TEXT_FREE else len(TEXT_FREE), probe)


def strata_table(primary: pd.DataFrame) -> pd.DataFrame:
    """RI of the primary ranking by kind, size, category, number of words, visibility and so on.

    Args:
        primary: Rows of every visibility; all strata but "targets" hold those at least half
            visible.

    Returns:
        Groups of numbers from small to large. Each mean with its interval over images and, where a
        group holds three categories or more, the wider one over images and categories.
    """
    visible = primary[primary["visible_frac"] >= MIN_VISIBLE]
    area = visible["area_frac"].rank(pct=True)
    strata = visible.assign(
        area_quintile=np.ceil(area * 5).astype(int),
        n_words=visible["n_words"].clip(upper=MANY_WORDS),
        visible=np.where(visible["visible_frac"] >= 0.999, "whole", "cut"),
    )
    whole = {"stratum": "targets", "group": "all"} | crossed_line(primary, "ri", "ri", INDEX)
    found = [
        {"stratum": stratum, "group": _group_name(stratum, value)}
        | crossed_line(group, "ri", "ri", INDEX)
        for stratum in STRATA
        for value, group in strata.groupby(stratum, sort=True)
    ]
    return pd.DataFrame([whole, *found])


def _group_name(stratum: str, value: object) -> str:
    many = stratum == "n_words" and value == MANY_WORDS
    return f"{value} or more" if many else str(value)


def moments_table(primary: pd.DataFrame) -> pd.DataFrame:
    """RI of the primary ranking in stills of clips, by moment: a clip's first still, its second.

    Clips differ in length, so moments are counted and not frames.

    Columns: kind of expression ("all", and each where there are several), moment from 1, and the
    mean with its interval over clips.

    Raises:
        ValueError: If rows of stills do not say their moments.
    """
    if "moment" not in primary:
        raise ValueError(
            "these rows of stills have no column 'moment', since an earlier version made them; run "
            "the study's command again"
        )
    kinds = {"all": primary}
    if primary["kind"].nunique() > 1:
        kinds |= {str(kind): part for kind, part in primary.groupby("kind")}
    return pd.DataFrame(
        [
            {"kind": kind, "moment": number} | mean_line(group, "ri", "ri")
            for kind, part in kinds.items()
            for number, group in part.groupby("moment")
        ]
    )


def categories_table(own: pd.DataFrame, key: Construction) -> pd.DataFrame:
    """What H1 to H3 rest on in each category: RI, and its differences to the controls.

    Columns: claim (of ``CATEGORY_CLAIMS``), difference, and those of ``category_lines``.
    """
    true, found = select(own, key), differences(own, key)
    parts = {
        CATEGORY_CLAIMS[name]: true.loc[values.index].assign(ri=values)
        for name, values in found.items()
    }
    table = lines_of_claims(parts, "ri", "ri")
    if not table.empty:
        names = {claim: name for name, claim in CATEGORY_CLAIMS.items()}
        table.insert(1, "difference", table["claim"].map(names))
    return table


def area_table(primary: pd.DataFrame) -> pd.DataFrame:
    """RI of the primary ranking by fifths of target size, with the median size of each fifth."""
    fifth = np.ceil(primary["area_frac"].rank(pct=True) * 5).astype(int)
    return pd.DataFrame(
        [
            {"area_quintile": number, "area_frac": float(group["area_frac"].median())}
            | mean_line(group, "ri", "ri")
            for number, group in primary.groupby(fifth)
        ]
    )
