"""From rows of agreement to claims and tables: means over images with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim, null_claim
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.gradients import COMPLETE
from litelvlm.analysis.signals.importance import ATTENTION, REMOVAL
from litelvlm.analysis.stats.bootstrap import bootstrap_means
from litelvlm.analysis.stats.lines import adjusted, mean_line, mean_lines, measured_together
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


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """H6, its two parts, the parts with the mask's coverage held fixed, and the shuffled null.

    All on expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = primary(rows)
    if visible.empty:
        return []
    parts = [_claim(visible, id, POSITION, excluded) for id in PARTS]
    statement = (
        "Tokens that the reversed ranking keeps matter more inside the language model, "
        "by both signals."
    )
    given_mask = [_claim(visible, id, COVERAGE, excluded) for id in PARTS]
    shuffled = visible[visible["control"] == SHUFFLED]
    null = [_null(shuffled, excluded)] if len(shuffled) else []
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


def _null(shuffled: pd.DataFrame, excluded: dict[str, int]) -> Claim:
    of_images = shuffled.groupby("image_id")["value"].mean()
    result = bootstrap_means(of_images.to_numpy()[:, None], of_images.index.to_numpy())
    statement = "With its tokens shuffled neither signal correlates with the reversed similarity."
    return null_claim("shuffled", statement, result, 0.0, "no rank correlation", MARGIN, excluded)


def _claim(rows: pd.DataFrame, id: str, partial_set: str, excluded: dict[str, int]) -> Claim:
    chosen = part_rows(rows, id, partial_set)
    suffix, more = (MASK, " and the mask's coverage") if partial_set == COVERAGE else ("", "")
    return effect_claim(
        id + suffix,
        f"With position and state norm{more} held fixed, the reversed similarity ranks tokens as "
        f"{WORDS[id]} does.",
        bootstrap_means(chosen[["value"]].to_numpy(), chosen["image_id"].to_numpy()),
        "no partial rank correlation",
        excluded,
    )


def make_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
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
    visible, _ = primary(rows)
    if visible.empty:
        return {}
    plain = visible[visible["control"] == "none"]
    parts = plain[(plain["metric"] == "spearman") & (plain["layer"] >= 0)]
    heads = parts[parts["head"] >= 0].groupby("signal", sort=True)
    grids = [means(part, ["signal", "layer", "head"]) for _, part in heads]
    whole = plain[(plain["layer"] < 0) & (plain["metric"] != "joint")]
    joint = plain[plain["metric"] == "joint"]
    completeness = whole[whole["compl_err"].notna()].drop_duplicates(["sent_id", *SIGNAL])
    found = {
        "grid": pd.concat(grids, ignore_index=True) if grids else pd.DataFrame(),
        "layers": means(parts[parts["head"] < 0], ["signal", "partial_set", "layer"]),
        "agreement": means(whole, ["score", *SIGNAL, "metric", "partial_set", "sinks", "k"]),
        "joint": untested(means(joint, [*SIGNAL, "score_bin", "signal_bin"])),
        "controls": means(
            visible[~visible["control"].isin(["none", REINITIALISED])], ["control", *SIGNAL]
        ),
        "reinitialised": means(visible[visible["control"] == REINITIALISED], [*SIGNAL, "layer"]),
        "completeness": untested(means(flagged(completeness), ["measure", "removal"])),
        "visibility": visibility_table(rows),
    }
    return {name: table for name, table in found.items() if not table.empty}


def visibility_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The parts of H6 on expressions that are at least half visible, and on all."""
    return pd.DataFrame(
        [
            {"part": id, "targets": targets}
            | mean_line(part_rows(chosen, id, POSITION), "value", "value")
            for targets, chosen in (("at least half visible", primary(rows)[0]), ("all", rows))
            for id in PARTS
        ]
    )


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
