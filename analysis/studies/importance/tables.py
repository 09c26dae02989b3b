"""From rows of agreement to tables: means over images with intervals."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.signals.clip_scores import lead_of
from litelvlm.analysis.signals.importance import ATTENTION, REMOVAL
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import (
    adjusted,
    lines_of_claims,
    mean_lines,
    measured_together,
)
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.importance.config import Config
from litelvlm.analysis.studies.importance.sanity import REINITIALISED

SIGNAL = ["signal", "target", "removal"]
SIGNAL_FIELDS = ("signal", "target", "layer", "head", "removal")
PARTS = {"H6.attention": (ATTENTION,), "H6.removal": REMOVAL}
"""Signals that the parts of H6 are about."""
IOU, RBO = "top_k_iou", "rbo"


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures, on expressions of which at least half of the target is visible.

    Returns:
        "grid": plain Spearman of the reversed similarity with a signal per layer and head, p and q
        within the signal;
        "layers": the same per layer for every signal that has layers; "agreement": score, signal,
        measure, covariates; "joint": share of tokens per pair of rank bins;
        "reinitialised": by lowest layer; "overlap": overlaps of the first k tokens of every score
        with the two signals named in advance, above chance, by k; "categories": the parts of H6 by
        category of the referent.
    """
    visible, _ = primary(rows)
    if visible.empty:
        return {}
    plain = visible[visible["control"] == "none"]
    parts = plain[(plain["metric"] == "spearman") & (plain["layer"] >= 0)]
    heads = parts[parts["head"] >= 0].groupby("signal", sort=True)
    grids = [means(part, ["signal", "layer", "head"]) for _, part in heads]
    whole = plain[(plain["layer"] < 0) & (plain["metric"] != "joint")]
    joint = plain[plain["metric"] == "joint"]
    found = {
        "grid": pd.concat(grids, ignore_index=True) if grids else pd.DataFrame(),
        "layers": means(parts[parts["head"] < 0], ["signal", "partial_set", "layer"]),
        "agreement": means(whole, ["score", *SIGNAL, "metric", "partial_set", "k"]),
        "joint": untested(means(joint, [*SIGNAL, "score_bin", "signal_bin"])),
        "reinitialised": means(visible[visible["control"] == REINITIALISED], [*SIGNAL, "layer"]),
        "overlap": overlap_table(whole),
        "categories": lines_of_claims({id: overlaps(visible, id, IOU) for id in PARTS}, "value"),
    }
    return {name: table for name, table in found.items() if not table.empty}


def part_rows(
    rows: pd.DataFrame, id: str, metric: str | None, score: str | None, partial_set: str = "none"
) -> pd.DataFrame:
    """Rows of one measure of one score with the signal of one of ``PARTS``; None takes all."""
    wanted = {"control": "none", "score": score, "metric": metric, "partial_set": partial_set}
    matches = [rows[column] == value for column, value in wanted.items() if value is not None]
    places = np.flatnonzero(np.logical_and.reduce(matches))
    signals = zip(*(rows[name].array[places] for name in SIGNAL_FIELDS), strict=True)
    return rows.iloc[places[[signal in PARTS[id] for signal in signals]]]


def overlaps(rows: pd.DataFrame, id: str, metric: str, score: str | None = None) -> pd.DataFrame:
    """Overlap corrected for chance of each expression, mean over all budgets.

    Without a score it is that of the reversed ranking.

    Columns: value, image_id and, where rows state them, category_id and category; by sent_id.
    """
    chosen = part_rows(rows, id, metric, score or lead_of(rows["score"].unique()))
    kept = [name for name in ("image_id", "category_id", "category") if name in chosen]
    first = chosen.drop_duplicates("sent_id").set_index("sent_id")[kept]
    return first.assign(value=chosen.groupby("sent_id")["corrected"].mean()).sort_index()


def overlap_table(whole: pd.DataFrame) -> pd.DataFrame:
    """Overlap at the top by score, named signal, measure and k: corrected for chance, and as it is.

    Columns: part (of H6), score, metric, k, value (0: chance, 1: the same tokens) with its interval
    over images, overlap and chance as measured.
    """
    chosen = {id: part_rows(whole, id, None, None) for id in PARTS}
    rows = pd.concat([part.assign(part=id) for id, part in chosen.items()])
    rows = rows[rows["metric"].isin([IOU, RBO])]
    if rows.empty:
        return pd.DataFrame()
    by = ["part", "score", "metric", "k"]
    wide = rows.pivot_table(index="image_id", columns=by, values="corrected", dropna=True)
    table = pd.concat([mean_lines(part, "value") for part in measured_together(wide)])
    plain = rows.groupby(by)[["value", "chance"]].mean().rename(columns={"value": "overlap"})
    return table.merge(plain.reset_index(), on=by).sort_values(by, ignore_index=True)


def untested(table: pd.DataFrame) -> pd.DataFrame:
    """A table of what is no correlation, without tests against 0."""
    return table.drop(columns=["p", "q"], errors="ignore")


def means(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean value of each group over images, with interval, tests, mean chance and ceiling.

    Groups on the same images are bootstrapped together; p asks whether the mean exceeds or misses
    what chance gives, q adjusts it within each metric. "disattenuated" is the mean value over the
    mean ceiling, both over the n_ceiling rows that have one.

    Args:
        rows: Rows of one control.
        by: Columns that make a group.
    """
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(excess=rows["value"] - rows["chance"].fillna(0.0))
    wide, above = (
        rows.pivot_table(index="image_id", columns=by, values=column, aggfunc="mean", dropna=True)
        for column in ("value", "excess")
    )
    cells = []
    for part in measured_together(wide):
        excess = above.loc[part.index, part.columns]
        p_values = bootstrap_means(excess.to_numpy(), part.index.to_numpy()).p_values()
        cells.append(mean_lines(part, "value").assign(p=p_values))
    rest = rows.assign(
        small=(rows["p_shift"] < 0.05).where(rows["p_shift"].notna()).astype(float),
        reliable=rows["value"].where(rows["ceiling"].notna()),
    )
    groups = rest.groupby(by)
    extra = groups[["chance", "corrected", "ceiling", "small", "reliable"]].mean()
    extra = extra.assign(n_ceiling=groups["ceiling"].count()).reset_index()
    table = pd.concat(cells).merge(extra, on=by).sort_values(by, ignore_index=True)
    table["q"] = adjusted(table, benjamini_hochberg, ["metric"] if "metric" in by else None)
    table["disattenuated"] = table.pop("reliable") / table["ceiling"]
    if not table["n_ceiling"].any():
        table = table.drop(columns="n_ceiling")
    # One image has no interval; figures still read the ends.
    empty = [name for name in table.columns[table.isna().all()] if name not in ("low", "high")]
    return table.drop(columns=empty).rename(columns={"small": "share_p_shift_below_05"})
