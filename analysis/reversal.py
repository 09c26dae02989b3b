"""Do the referent's tokens have low similarity to the text, and is that about the text or only about background?

LiteLVLM keeps the tokens *least* similar to the question. Per expression this study asks how far the similarity ranks
the referent's tokens below the rest (reversal index RI = 1 - 2 AUROC, positive when they are lower) and repeats the
question with controls, each of which takes one explanation away:

    N1   texts of other images and other categories; N1c of the same category
    N2   no text: empty, "a photo", and the mean of many texts
    N3   the mask of another image, of the nearest size: what the centre of pictures gives
    N4   the same mask moved round the grid (mean over shifts, must be near 0)
    N5   random connected blobs of the same size
    N6   the mask of another object in the same image, of the same category if there is one
    N7   scores without any text: distance from the centre, norms of states and values, cosine to CLS

H1 (reversal beyond the centre), H2 (it needs the true text) and H3 (it is stronger on the referent than on another
object) are separate: H1 without H2 or H3 is a text-independent background preference.
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
from analysis.locks import Shard
from analysis.reversal_scores import PRIMARY, TEXT_FREE, Config, Context, embed_texts, image_rows
from analysis.samples import Data, Model
from analysis.statistics import RESAMPLES, bootstrap_means
from litelvlm.glamm.prompts import question

__all__ = ["QUESTION", "Config", "reading", "run", "summarise", "tables"]

QUESTION = "Do the referent's tokens have low similarity to the text, and does that depend on the text?"
MIN_VISIBLE = 0.5  # of the target's area, for the primary set


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
        H1's two parts, H1, H2 and H3; a claim whose control exists for no expression is left out.
    """
    true = rows if rows.empty else _select(rows, *PRIMARY)
    if true.empty:
        return []
    foreign_mask, foreign_text = _select(rows, *PRIMARY, "N3"), _select(rows, "P0", -2, "dot", "shuffled", "N1")
    sign = _claim("H1.sign", "The referent's tokens rank low: RI > 0.", true, None, "no reversal", resamples, seed)
    claims = [sign]
    if not foreign_mask.empty:
        statement = "They rank lower than a mask of equal size taken from another image."
        centre = _claim("H1.centre", statement, true, foreign_mask, "what the centre gives", resamples, seed)
        together = "The similarity is reversed on the referent, beyond what its place in the image explains."
        claims += [centre, joint_claim("H1", together, [sign, centre])]
    if not foreign_text.empty:
        statement = "The reversal is stronger with the true text than with texts of other images."
        claims.append(_claim("H2", statement, true, foreign_text, "any text would do", resamples, seed))
    others = _select(rows, *PRIMARY, "N6")
    if not others.empty:
        statement = "The reversal is stronger on the referent than on another object of the image."
        claims.append(_claim("H3", statement, true, others, "any object is reversed alike", resamples, seed))
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
    true: pd.DataFrame,
    control: pd.DataFrame | None,
    null_description: str,
    resamples: int,
    seed: int,
) -> Claim:
    values = true["ri"] if control is None else (true["ri"] - control["ri"].reindex(true.index)).dropna()
    images = true.loc[values.index, "image_id"].to_numpy()
    # Rankings that are equal must differ by exactly 0, whatever rounding the averages over draws left.
    differences = values.to_numpy(dtype=np.float64).round(12)
    result = bootstrap_means(differences[:, None], images, resamples, seed)
    estimate, p_value = result.estimates()[0], float(result.p_values()[0])
    return make_claim(id, statement, estimate, 0.0, null_description, p_value=p_value)


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
    """What the verdicts mean together; a reversal without H2 and H3 is called what it is."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    first, second, third = (verdicts.get(name, "undetermined") for name in ("H1", "H2", "H3"))
    if first != "supported":
        return f"A reversal of similarity on the referent is {first} here."
    if second == third == "supported":
        return "The similarity is reversed on the referent, and the reversal depends on the text and on the object."
    missing = " and ".join(
        f"{name} ({what}) is {found}"
        for name, what, found in (("H2", "needs the true text", second), ("H3", "singles out the referent", third))
        if found != "supported"
    )
    return f"The ranking shows a text-independent background preference: RI > 0, but {missing}."


STUDY = Study(
    "reversal",
    summarise,
    tables,
    reading,
    ("analysis.reversal_scores", "analysis.donors", "analysis.labels", "analysis.ranking_measures", "analysis.samples"),
)
