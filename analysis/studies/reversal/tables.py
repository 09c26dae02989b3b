"""Tables of the reversal study: means with intervals over its rows, as figures show them."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means
from litelvlm.analysis.stats.significance import sign_test, wilcoxon_test
from litelvlm.analysis.studies.reversal.rows import PRIMARY, TEXT_FREE
from litelvlm.arrays import Array

UNLABELLED = "cannot be labelled in this model's crop"
"""Why an expression of the model's own rows is missing from those of another CLIP model."""
MANY_WORDS = 10
CONTROLS = {"reversal": None, "beyond other masks": "N3", "true text": "N1", "referent": "N6"}
"""What each difference to a control shows; the reversal itself has none."""
_SIDES = {"lowest": "rec_low", "highest": "rec_high", "random": "chance_rec"}
_MEASURES = (
    "auroc",
    "ri",
    "hedges_g",
    "gap",
    "pointing",
    "chance_pointing",
    "tie_frac",
    "rank_agreement",
)


def select(
    rows: pd.DataFrame,
    probe: str,
    layer: int,
    sim: str,
    text_mode: str,
    control: str = "none",
    min_visible: float = MIN_VISIBLE,
) -> pd.DataFrame:
    """Rows of one construction with primary labels, by expression.

    Raises:
        ValueError: If an expression occurs twice, as in the rows of several runs or CLIP models.
    """
    wanted = {
        "probe": probe,
        "layer": layer,
        "sim": sim,
        "text_mode": text_mode,
        "control": control,
    }
    chosen = rows[rows["visible_frac"] >= min_visible]
    for column, value in {**wanted, "labels": "primary"}.items():
        chosen = chosen[chosen[column] == value]
    by_expression: pd.DataFrame = chosen.set_index("sent_id")
    if not by_expression.index.is_unique:
        raise ValueError(
            "the rows hold an expression twice; give the rows of one run and one CLIP model"
        )
    return by_expression


def unlabelled(rows: pd.DataFrame, clip: str) -> int:
    """Number of expressions with rows of the model's own tower and none of this CLIP model."""
    own, there = (set(rows.loc[rows["clip_model"] == name, "sent_id"]) for name in ("", clip))
    return len(own - there)


def control_rows(rows: pd.DataFrame, control: str) -> pd.DataFrame:
    """Rows of a control on the primary ranking: another mask, or (N1) another text."""
    return (
        select(rows, "P0", -2, "dot", "shuffled", "N1")
        if control == "N1"
        else select(rows, *PRIMARY, control)
    )


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "ri" per construction and "layers" of every CLIP model; of the model's own "recall" per
        budget and ranking, "measures" of the primary ranking, "strata" and "area" of its RI, and
        rank "tests" on image means. Empty if no target is visible enough.
    """
    visible = rows if rows.empty else rows[rows["visible_frac"] >= MIN_VISIBLE]
    if visible.empty:
        return {}
    own = visible[visible["clip_model"] == ""]
    named = ["clip_model", "control", "probe", "layer", "sim", "text_mode", "labels"]
    found = {"ri": _ri_by(visible, named, resamples, seed)}
    lens = (
        (visible["control"] == "none")
        & (visible["sim"] == "dot")
        & (visible["text_mode"] == "template")
    )
    lens &= visible["labels"] == "primary"
    found["layers"] = _ri_by(visible[lens], ["clip_model", "layer"], resamples, seed)
    primary = select(own, *PRIMARY)
    if primary.empty:
        return found
    return found | {
        "recall": recall_table(own, resamples, seed),
        "measures": measures_table(primary, resamples, seed),
        "strata": strata_table(
            select(rows[rows["clip_model"] == ""], *PRIMARY, min_visible=0.0), resamples, seed
        ),
        "area": area_table(primary, resamples, seed),
        "tests": tests_table(own),
    }


def _ri_by(rows: pd.DataFrame, names: list[str], resamples: int, seed: int) -> pd.DataFrame:
    """Mean RI of each group; groups with the same expressions share one set of resamples."""
    groups = [(key, group.sort_values("sent_id")) for key, group in rows.groupby(names, sort=True)]
    alike: dict[bytes, list[int]] = {}
    for number, (_, group) in enumerate(groups):
        alike.setdefault(group["sent_id"].to_numpy().tobytes(), []).append(number)
    cells: dict[int, Row] = {}
    for numbers in alike.values():
        first = groups[numbers[0]][1]
        wide = pd.DataFrame({str(n): groups[n][1]["ri"].to_numpy() for n in numbers})
        wide["image_id"] = first["image_id"].to_numpy()
        found = mean_columns(wide, [str(n) for n in numbers], resamples, seed)
        cells |= {int(str(cell.pop("measure"))): {"ri": cell.pop("mean")} | cell for cell in found}
    lines = [
        dict(zip(names, key, strict=True)) | cells[number] for number, (key, _) in enumerate(groups)
    ]
    return pd.DataFrame(lines)


def ri_cell(group: pd.DataFrame, resamples: int, seed: int) -> Row:
    """Mean RI of a group of rows with its interval."""
    (cell,) = mean_columns(group, ["ri"], resamples, seed)
    del cell["measure"]
    return {"ri": cell.pop("mean")} | cell


def recall_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Share of the mask kept at each budget: by similarity, at random, text-free, by the mask."""
    budgets = sorted(
        int(name.removeprefix("rec_low_")) for name in rows.columns if name.startswith("rec_low_")
    )
    primary, free = select(rows, *PRIMARY), rows[rows["control"] == "N7"]
    wanted = [("similarity", side, primary, f"{column}_") for side, column in _SIDES.items()]
    wanted += [(name, "highest", free[free["probe"] == name], "rec_high_") for name in TEXT_FREE]
    wanted.append(("mask", "highest", rows[rows["control"] == "oracle"], "rec_high_"))
    found = []
    for ranking, side, chosen, prefix in wanted:
        if chosen.empty:
            continue
        cells = mean_columns(chosen, [f"{prefix}{k}" for k in budgets], resamples, seed)
        found += [
            {"ranking": ranking, "kept": side, "budget": k} | cell
            for k, cell in zip(budgets, cells, strict=True)
        ]
    return pd.DataFrame(found).drop(columns="measure").rename(columns={"mean": "recall"})


def measures_table(
    primary: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Mean of every measure of the primary ranking, beside that of random tokens at budgets."""
    at_budgets = [
        name
        for name in primary.columns
        if name.startswith(("prec_", "chance_prec_", "lift_", "soft_rec"))
    ]
    names = [*_MEASURES, *at_budgets]
    known = np.isfinite(primary[names].astype(np.float64))
    whole = [name for name in names if known[name].all()]
    cells = mean_columns(primary, whole, resamples, seed)
    for name in names:
        if known[name].any() and name not in whole:
            cells += mean_columns(primary[known[name]], [name], resamples, seed)
    return pd.DataFrame(cells)


def strata_table(primary: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """RI of the primary ranking by kind, size, category, words (10: or more), visibility and so on.

    Args:
        primary: Rows of every visibility; all strata but "targets" hold those at least half
            visible.
        resamples: Number of draws.
        seed: Of the draws.
    """
    visible = primary[primary["visible_frac"] >= MIN_VISIBLE]
    area = visible["area_frac"].rank(pct=True)
    strata = visible.assign(
        area_quintile=np.ceil(area * 5).astype(int),
        n_words=visible["n_words"].clip(upper=MANY_WORDS),
        visible=np.where(visible["visible_frac"] >= 0.999, "whole", "cut"),
    )
    found = [{"stratum": "targets", "group": "all"} | ri_cell(primary, resamples, seed)]
    for stratum in (
        "kind",
        "area_quintile",
        "category",
        "n_words",
        "visible",
        "n_same_category",
        "split",
    ):
        for value, group in strata.groupby(stratum, sort=True):
            found.append(
                {"stratum": stratum, "group": str(value)} | ri_cell(group, resamples, seed)
            )
    return pd.DataFrame(found)


def area_table(primary: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """RI of the primary ranking by fifths of target size, with the median size of each fifth."""
    fifth = (primary["area_frac"].rank(pct=True) * 5).apply(np.ceil).astype(int)
    cells = [
        {
            "area_quintile": number,
            "area_frac": float(primary.loc[fifth == number, "area_frac"].median()),
        }
        | ri_cell(primary[fifth == number], resamples, seed)
        for number in sorted(fifth.unique().tolist())
    ]
    return pd.DataFrame(cells)


def tests_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Two-sided sign and Wilcoxon tests on image means of RI and of its control differences.

    Images whose mean is exactly 0 say nothing to either test and are left out of ``n_images``.
    """
    true, found = select(rows, *PRIMARY), []
    for name, control in CONTROLS.items():
        other = None if control is None else control_rows(rows, control)["ri"].reindex(true.index)
        difference = (true["ri"] if other is None else true["ri"] - other).dropna().round(12)
        means = difference.groupby(true["image_id"]).mean().to_numpy()
        sign, ranks = sign_test(means), wilcoxon_test(means)
        found.append(
            {"difference": name, "share_positive": sign.statistic, "n_images": sign.n}
            | {"p_sign": sign.p_value, "p_wilcoxon": ranks.p_value}
        )
    return pd.DataFrame(found)


def mean_columns(group: pd.DataFrame, columns: list[str], resamples: int, seed: int) -> list[Row]:
    """Mean of each column with its interval from resampling images."""
    values: Float[Array, "n c"] = group[columns].to_numpy(dtype=np.float64)
    images: Shaped[Array, n] = group["image_id"].to_numpy()
    result = bootstrap_means(values, images, resamples, seed)
    return [
        {
            "measure": name,
            "mean": e.value,
            "low": e.low,
            "high": e.high,
            "n_images": e.n_images,
            "n": e.n,
        }
        for name, e in zip(columns, result.estimates(), strict=True)
    ]
