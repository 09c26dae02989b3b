"""Do the referent's tokens have low similarity to the text, and is that about the text or only about background?

LiteLVLM keeps the tokens *least* similar to the question. Per expression this study asks how far the similarity ranks
the referent's tokens below the rest (reversal index RI = 1 - 2 AUROC, positive when they are lower) and repeats the
question with controls, each of which takes one explanation away:

    N1   texts of other images and other categories; N1c of the same category
    N2   no text: empty, "a photo", and the mean of many texts
    N3   masks of other images, of similar size: what the centre of pictures gives
    N4   the same mask moved round the grid (mean over shifts, must be near 0)
    N5   random connected blobs of the same size
    N6   the mask of another object in the same image, of the same category if there is one
    N7   scores without any text: distance from the centre, norms of states and values, cosine to CLS

H1 (reversal beyond the centre), H2 (it needs the true text) and H3 (it is stronger on the referent than on another
object) are separate: H1 with both H2 and H3 shown not to hold is a text-independent background preference.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims import Claim, joint_claim, make_claim
from analysis.config import resolve_budgets
from analysis.donors import draw_donors
from analysis.engine import Study, run_study
from analysis.formatting import counted
from analysis.locks import Shard
from analysis.reversal_scores import PRIMARY, TEXT_FREE, Config, Context, embed_texts, image_rows
from analysis.samples import Data, Model
from analysis.statistics import RESAMPLES, bootstrap_means
from litelvlm.glamm.prompts import question

__all__ = ["QUESTION", "Config", "reading", "run", "summarise", "tables"]

QUESTION = "Do the referent's tokens have low similarity to the text, and does that depend on the text?"
MIN_VISIBLE = 0.5  # of the target's area, for the primary set
SCOPE = "targets at least half visible"
HIDDEN = "target less than half visible"
# Why an expression is missing from a claim that needs a control.
_LACKING = {
    "H1.centre": "no mask of another image",
    "H2": "no text of another image",
    "H3": "no other object that can be labelled",
}


def run(model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

    Args:
        model: Only its CLIP tower is used.
        data: Split to study.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    budgets = resolve_budgets(config.budgets, model.grid[0] * model.grid[1])
    donors = draw_donors(data, model, config.pool, config.seed)
    asked = [question(donor.sent, config.question_index) for donor in donors]
    texts = embed_texts(model, ["", "a photo", *asked])
    context = Context(model, data, config, budgets, donors, donor_texts=texts[2:], free_texts=texts[:2])
    resolved = {"budgets": list(budgets)}
    return run_study(STUDY, model, data, config, out, shard or Shard(), partial(image_rows, context), resolved)


def summarise(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """Claims H1 to H3 on expressions of which at least half of the target is visible.

    Returns:
        H1's two parts, H1, H2 and H3; a claim whose control exists for no expression is left out. Each counts the
        expressions it could not use, by reason.
    """
    true = rows if rows.empty else _select(rows, *PRIMARY)
    if true.empty:
        return []
    hidden = len(_select(rows, *PRIMARY, min_visible=0.0)) - len(true)
    claim = partial(_claim, true=true, hidden=hidden, resamples=resamples, seed=seed)
    foreign_mask, foreign_text = _select(rows, *PRIMARY, "N3"), _select(rows, "P0", -2, "dot", "shuffled", "N1")
    sign = claim("H1.sign", "The referent's tokens rank low (RI > 0)", None, "no reversal")
    claims = [sign]
    if not foreign_mask.empty:
        statement = "They rank lower than masks of similar size taken from other images"
        centre = claim("H1.centre", statement, foreign_mask, "what the centre gives")
        together = "The similarity is reversed on the referent, beyond what its place in the image explains"
        claims += [centre, joint_claim("H1", f"{together}; {SCOPE}.", [sign, centre])]
    if not foreign_text.empty:
        statement = "The reversal is stronger with the true text than with texts of other images"
        claims.append(claim("H2", statement, foreign_text, "any text would do"))
    others = _select(rows, *PRIMARY, "N6")
    if not others.empty:
        statement = "The reversal is stronger on the referent than on another object of the image"
        claims.append(claim("H3", statement, others, "any object is reversed alike"))
    return claims


def _select(
    rows: pd.DataFrame,
    probe: str,
    layer: int,
    sim: str,
    text_mode: str,
    control: str = "none",
    min_visible: float = MIN_VISIBLE,
) -> pd.DataFrame:
    """Rows of one construction with primary labels, by expression."""
    wanted = {"probe": probe, "layer": layer, "sim": sim, "text_mode": text_mode, "control": control}
    chosen = rows[rows["visible_frac"] >= min_visible]
    for column, value in {**wanted, "labels": "primary"}.items():
        chosen = chosen[chosen[column] == value]
    by_expression: pd.DataFrame = chosen.set_index("sent_id")
    if not by_expression.index.is_unique:
        raise ValueError("the rows hold an expression twice; give the rows of one run")
    return by_expression


def _claim(
    id: str,
    statement: str,
    control: pd.DataFrame | None,
    null_description: str,
    true: pd.DataFrame,
    hidden: int,
    resamples: int,
    seed: int,
) -> Claim:
    """A claim on RI itself, or on its difference to a control where the control exists; the rest is counted."""
    values = true["ri"] if control is None else (true["ri"] - control["ri"].reindex(true.index)).dropna()
    excluded = {HIDDEN: hidden, _LACKING.get(id, ""): len(true) - len(values)}
    images = true.loc[values.index, "image_id"].to_numpy()
    # Rankings that are equal must differ by exactly 0, whatever rounding the averages over draws left.
    differences = values.to_numpy(dtype=np.float64).round(12)
    result = bootstrap_means(differences[:, None], images, resamples, seed)
    return make_claim(
        id,
        f"{statement}; {SCOPE}.",
        result.estimates()[0],
        0.0,
        null_description,
        p_value=float(result.p_values()[0]),
        p_claimed=float(result.p_values(one_sided=True)[0]),
        excluded={reason: n for reason, n in excluded.items() if n},
    )


def tables(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables for figures: "ri" per construction, "recall" per budget and ranking, "strata" of the primary ranking."""
    visible = rows if rows.empty else rows[rows["visible_frac"] >= MIN_VISIBLE]
    if visible.empty:
        return {}
    tags = ["control", "probe", "layer", "sim", "text_mode", "labels"]
    construction = [
        dict(zip(tags, key, strict=True)) | _mean_columns(group, ["ri"], resamples, seed)[0]
        for key, group in visible.groupby(tags, sort=True)
    ]
    return {
        "ri": pd.DataFrame(construction).drop(columns="measure").rename(columns={"mean": "ri"}),
        "recall": recall_table(visible, resamples, seed),
        "strata": strata_table(_select(rows, *PRIMARY), resamples, seed),
    }


def recall_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Share of the mask kept at each budget by lowest and highest similarity, at random, and by scores without text."""
    budgets = sorted(int(name.removeprefix("rec_low_")) for name in rows.columns if name.startswith("rec_low_"))
    primary, free = _select(rows, *PRIMARY), rows[rows["control"] == "N7"]
    wanted = [("similarity", side, primary, f"{column}_") for side, column in _SIDES.items()]
    wanted += [(name, "highest", free[free["probe"] == name], "rec_high_") for name in TEXT_FREE]
    found = []
    for ranking, side, chosen, prefix in wanted:
        cells = _mean_columns(chosen, [f"{prefix}{k}" for k in budgets], resamples, seed)
        found += [
            {"ranking": ranking, "kept": side, "budget": k} | cell for k, cell in zip(budgets, cells, strict=True)
        ]
    return pd.DataFrame(found).drop(columns="measure").rename(columns={"mean": "recall"})


_SIDES = {"lowest": "rec_low", "highest": "rec_high", "random": "chance_rec"}


def strata_table(primary: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """RI of the primary ranking by kind, target size, words (10: 10 and more), visibility and split."""
    area = primary["area_frac"].rank(pct=True)
    strata = primary.assign(
        area_quintile=np.ceil(area * 5).astype(int),
        n_words=primary["n_words"].clip(upper=10),
        visible=np.where(primary["visible_frac"] >= 0.999, "whole", "cut"),
    )
    found = []
    for stratum in ("kind", "area_quintile", "n_words", "visible", "split"):
        for value, group in strata.groupby(stratum, sort=True):
            found.append({"stratum": stratum, "group": str(value)} | _mean_columns(group, ["ri"], resamples, seed)[0])
    return pd.DataFrame(found).drop(columns="measure").rename(columns={"mean": "ri"})


def _mean_columns(group: pd.DataFrame, columns: list[str], resamples: int, seed: int) -> list[dict[str, Any]]:
    result = bootstrap_means(group[columns].to_numpy(dtype=np.float64), group["image_id"].to_numpy(), resamples, seed)
    return [
        {"measure": name, "mean": e.value, "low": e.low, "high": e.high, "n_images": e.n_images, "n": e.n}
        for name, e in zip(columns, result.estimates(), strict=True)
    ]


def reading(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together; what was not told apart is not called a background preference.

    That name is kept for a reversal that is shown to need neither the true text (H2) nor the referent (H3). A claim
    that is missing is as open as one that is undetermined.
    """
    verdicts = {claim.id: claim.verdict for claim in claims}
    first, text, target = (verdicts.get(name, "undetermined") for name in ("H1", "H2", "H3"))
    if first != "supported":
        found = f"A reversal of similarity on the referent is {first} here."
    elif text == target == "not supported":
        found = (
            "The ranking shows a text-independent background preference: RI > 0, but no more with the true text than "
            "with others (H2), and no more on the referent than on another object (H3)."
        )
    else:
        found = f"The similarity is reversed on the referent, {_DEPENDENCE[text, target]}."
    excluded = {reason: n for claim in claims for reason, n in claim.excluded.items()}
    return f"{found} Expressions excluded: {counted(excluded)}." if excluded else found


# By the verdicts of H2 (text) and H3 (object), given H1.
_DEPENDENCE = {
    ("supported", "supported"): "and the reversal depends on the text and on the object",
    ("supported", "not supported"): "and the reversal depends on the text but not on the object",
    ("supported", "undetermined"): (
        "and the reversal depends on the text; whether it depends on the object cannot be told"
    ),
    ("not supported", "supported"): "and the reversal depends on the object but not on the text",
    ("not supported", "undetermined"): (
        "and the reversal does not depend on the text; whether it depends on the object cannot be told"
    ),
    ("undetermined", "supported"): (
        "and the reversal depends on the object; whether it depends on the text cannot be told"
    ),
    ("undetermined", "not supported"): (
        "and the reversal does not depend on the object; whether it depends on the text cannot be told"
    ),
    ("undetermined", "undetermined"): "and whether the reversal depends on the text or on the object cannot be told",
}


STUDY = Study(
    "reversal",
    summarise,
    tables,
    reading,
    ("analysis.reversal_scores", "analysis.donors", "analysis.labels", "analysis.ranking_measures", "analysis.samples"),
)
