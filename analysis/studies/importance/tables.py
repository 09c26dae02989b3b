"""From rows of agreement to claims and tables: means over images with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim, null_claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.gradients import COMPLETE
from litelvlm.analysis.signals.importance import ATTENTION, REMOVAL
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means, mean_estimate
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.studies.importance.agreement import COVERAGE, POSITION
from litelvlm.analysis.studies.importance.sanity import REINITIALISED

SIGNAL = ["signal", "target", "removal"]
PARTS = {"H6.attention": ATTENTION, "H6.removal": REMOVAL}
WORDS = {
    "H6.attention": "attention of the [SEG] query in the middle layers",
    "H6.removal": "the loss of soft Dice when a token's block is dropped",
}
MASK, SHUFFLED = ".mask", "shuffled_signal"
MARGIN = 0.05  # a correlation within it counts as none


def make_claims(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """H6, its two parts, the parts with the mask's coverage held fixed, and the shuffled null.

    All on expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = (rows, {}) if rows.empty else primary(rows)
    if visible.empty:
        return []
    parts = [_claim(visible, id, POSITION, excluded, resamples, seed) for id in PARTS]
    statement = (
        "Tokens that the reversed ranking keeps matter more inside the language model, "
        "by both signals."
    )
    given_mask = [_claim(visible, id, COVERAGE, excluded, resamples, seed) for id in PARTS]
    shuffled = visible[visible["control"] == SHUFFLED]
    null = [_null(shuffled, excluded, resamples, seed)] if len(shuffled) else []
    return [joint_claim("H6", statement, parts), *parts, *given_mask, *null]


def part_rows(rows: pd.DataFrame, id: str, partial_set: str) -> pd.DataFrame:
    """Rows of one of ``PARTS`` under a set of covariates."""
    wanted = dict(zip(("signal", "target", "layer", "head", "removal"), PARTS[id], strict=True))
    wanted |= {
        "control": "none",
        "score": REVERSED,
        "metric": "spearman",
        "partial_set": partial_set,
        "sinks": "kept",
    }
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


def _null(shuffled: pd.DataFrame, excluded: dict[str, int], resamples: int, seed: int) -> Claim:
    of_images = shuffled.groupby("image_id")["value"].mean()
    result = bootstrap_means(
        of_images.to_numpy()[:, None], of_images.index.to_numpy(), resamples, seed
    )
    statement = "With its tokens shuffled neither signal correlates with the reversed similarity."
    return null_claim("shuffled", statement, result, 0.0, "no rank correlation", MARGIN, excluded)


def _claim(
    rows: pd.DataFrame,
    id: str,
    partial_set: str,
    excluded: dict[str, int],
    resamples: int,
    seed: int,
) -> Claim:
    chosen = part_rows(rows, id, partial_set)
    result = bootstrap_means(
        chosen[["value"]].to_numpy(), chosen["image_id"].to_numpy(), resamples, seed
    )
    fixed = "position and state norm" + (
        " and the mask's coverage" if partial_set == COVERAGE else ""
    )
    return make_claim(
        id + (MASK if partial_set == COVERAGE else ""),
        f"With {fixed} held fixed, the reversed similarity ranks tokens as {WORDS[id]} does.",
        result.estimates()[0],
        0.0,
        "no partial rank correlation",
        p_value=float(result.p_values(0.0)[0]),
        p_claimed=float(result.p_values(0.0, one_sided=True)[0]),
        excluded=excluded,
    )


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures, on expressions of which at least half of the target is visible.

    Returns:
        "grid": plain Spearman of the reversed similarity with a signal per layer and head, p and q
        within the signal;
        "layers": the same per layer for every signal that has layers; "agreement": score, signal,
        measure, covariates, sinks; "joint": share of tokens per pair of rank bins; "controls":
        shuffled, foreign and self; "reinitialised": by lowest layer; "completeness": error of
        integrated gradients by baseline, and the share of images where it exceeds 5 %;
        "visibility": the parts of H6 on these expressions, and on all.
    """
    every, rows = rows, rows if rows.empty else primary(rows)[0]
    if rows.empty:
        return {}
    plain = rows[rows["control"] == "none"]
    parts = plain[(plain["metric"] == "spearman") & (plain["layer"] >= 0)]
    heads = parts[parts["head"] >= 0].groupby("signal", sort=True)
    grids = [means(part, ["signal", "layer", "head"], resamples, seed) for _, part in heads]
    whole = plain[(plain["layer"] < 0) & (plain["metric"] != "joint")]
    joint = plain[plain["metric"] == "joint"]
    completeness = whole[whole["compl_err"].notna()].drop_duplicates(["sent_id", *SIGNAL])
    found = {
        "grid": pd.concat(grids, ignore_index=True) if grids else pd.DataFrame(),
        "layers": means(
            parts[parts["head"] < 0], ["signal", "partial_set", "layer"], resamples, seed
        ),
        "agreement": means(
            whole, ["score", *SIGNAL, "metric", "partial_set", "sinks", "k"], resamples, seed
        ),
        "joint": untested(means(joint, [*SIGNAL, "score_bin", "signal_bin"], resamples, seed)),
        "controls": means(
            rows[~rows["control"].isin(["none", REINITIALISED])],
            ["control", *SIGNAL],
            resamples,
            seed,
        ),
        "reinitialised": means(
            rows[rows["control"] == REINITIALISED], [*SIGNAL, "layer"], resamples, seed
        ),
        "completeness": untested(
            means(flagged(completeness), ["measure", "removal"], resamples, seed)
        ),
        "visibility": visibility_table(every, resamples, seed),
    }
    return {name: table for name, table in found.items() if not table.empty}


def visibility_table(rows: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """The parts of H6 on expressions that are at least half visible, and on all."""
    lines = []
    for targets, chosen in (("at least half visible", primary(rows)[0]), ("all", rows)):
        for id in PARTS:
            part = part_rows(chosen, id, POSITION)
            e = mean_estimate(
                part["value"].to_numpy(),
                part["image_id"].to_numpy(),
                resamples=resamples,
                seed=seed,
            )
            line = {"part": id, "targets": targets, "value": e.value, "low": e.low, "high": e.high}
            lines.append(line | {"n_images": e.n_images, "n": e.n})
    return pd.DataFrame(lines)


def flagged(rows: pd.DataFrame) -> pd.DataFrame:
    """Completeness errors, and beside them whether each is too large."""
    nothing = dict.fromkeys(("chance", "corrected", "ceiling", "p_shift"), np.nan)
    error = rows.assign(measure="error", value=rows["compl_err"], **nothing)
    return pd.concat(
        [error, error.assign(measure="flagged", value=(rows["compl_err"] > COMPLETE).astype(float))]
    )


def untested(table: pd.DataFrame) -> pd.DataFrame:
    """A table of what is no correlation, without tests against 0."""
    return table.drop(columns=["p", "q"], errors="ignore")


def means(rows: pd.DataFrame, by: list[str], resamples: int, seed: int) -> pd.DataFrame:
    """Mean value of each group over images, with interval, tests, mean chance and ceiling.

    Groups on the same images are bootstrapped together; p asks whether the mean exceeds or misses
    what chance gives, q adjusts it within each metric. "disattenuated" is the mean value over the
    mean ceiling, both over the n_ceiling rows that have one.

    Args:
        rows: Rows of one control.
        by: Columns that make a group.
        resamples: Bootstrap draws.
        seed: Of the draws.
    """
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(excess=rows["value"] - rows["chance"].fillna(0.0))
    wide, above = (
        rows.pivot_table(index="image_id", columns=by, values=column, aggfunc="mean", dropna=True)
        for column in ("value", "excess")
    )
    cells: list[Row] = []
    presence = wide.notna()
    for pattern in presence.T.drop_duplicates().to_numpy():
        same = (presence.to_numpy() == pattern[:, None]).all(0)
        part = wide.loc[pattern, same]
        result = bootstrap_means(part.to_numpy(), part.index.to_numpy(), resamples, seed)
        excess = bootstrap_means(
            above.loc[pattern, same].to_numpy(), part.index.to_numpy(), resamples, seed
        )
        p_values = excess.p_values(0.0)
        for names, e, p in zip(part.columns, result.estimates(), p_values, strict=True):
            values = names if isinstance(names, tuple) else (names,)
            interval = {
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "n_images": e.n_images,
                "n": e.n,
            }
            cells.append(dict(zip(by, values, strict=True)) | interval | {"p": float(p)})
    rest = rows.assign(
        small=(rows["p_shift"] < 0.05).where(rows["p_shift"].notna()).astype(float),
        reliable=rows["value"].where(rows["ceiling"].notna()),
    )
    groups = rest.groupby(by)
    extra = groups[["chance", "corrected", "ceiling", "small", "reliable"]].mean()
    extra = extra.assign(n_ceiling=groups["ceiling"].count()).reset_index()
    table = pd.DataFrame(cells).merge(extra, on=by).sort_values(by, ignore_index=True)
    family = table.groupby("metric" if "metric" in by else np.zeros(len(table)))["p"]
    table["q"] = family.transform(
        lambda p: benjamini_hochberg(p.to_numpy()) if np.isfinite(p).all() else np.nan
    )
    table["disattenuated"] = table.pop("reliable") / table["ceiling"]
    if not table["n_ceiling"].any():
        table = table.drop(columns="n_ceiling")
    return table.rename(columns={"small": "share_p_shift_below_05"}).dropna(
        axis="columns", how="all"
    )


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    if not verdicts:
        return "Nothing was measured."
    both = verdicts["H6"]
    parts = ", ".join(f"{WORDS[id]}: {verdicts[id]}" for id in PARTS)
    text = (
        "That tokens kept by the reversed ranking matter inside the language model "
        f"is {both} ({parts})."
    )
    masked = {id: verdicts[id + MASK] for id in PARTS}
    if both == "supported" and set(masked.values()) != {"supported"}:
        return (
            f"{text} With the mask's coverage held fixed it is not shown for both, "
            "so the mask may explain it."
        )
    return text
