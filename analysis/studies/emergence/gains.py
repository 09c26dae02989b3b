"""What LiteLVLM gains over random tokens in each training, beside its reversal index."""

from statistics import fmean

import numpy as np
import pandas as pd

READER_GATE = 0.1
"""Default of the least IoU that tokens must add to the best mask without tokens."""
RULES = ("lowest", "highest", "random", "oracle")


def gains_table(rows: pd.DataFrame, outcomes: pd.DataFrame, reader_gate: float) -> pd.DataFrame:
    """One line for each training with a reader.

    Args:
        rows: Of the study.
        outcomes: Of ``outcome_table``.
        reader_gate: Least IoU by which the reader with all tokens must beat the best mask without.

    Returns:
        The training's tags and factors; "learned"; "repeated"; "index": reversal index of the true
        text at the layer that GLaMM reads; "reversal": the same minus absent ones; "without": mean
        IoU of the best mask without tokens; "unpruned": with all tokens; "works": whether the
        reader passes its gate; for each rule and budget, such as "lowest_0.25": mean IoU;
        "gain_0.25": that of "lowest" minus that of "random"; "gain": its mean over budgets;
        "gain_highest": the same for "highest"; "kept" and "kept_random": share of the object's
        tokens that "lowest" and "random" keep, mean over budgets. "lowest" is LiteLVLM's rule,
        "oracle" takes the object's tokens first.
    """
    if "budget" not in rows or outcomes.empty:
        return pd.DataFrame()
    measured = rows[rows["final"] & rows["measure"].isin(["iou", "kept"])]
    lines = [_line(str(name), part) for name, part in measured.groupby("training", sort=True)]
    if not lines:
        return pd.DataFrame()
    factors = outcomes.columns[: list(outcomes.columns).index("sink")].drop("step")
    known = outcomes[[*factors, "learned", "repeated", "reversal_true", "reversal"]]
    found = known.rename(columns={"reversal_true": "index"}).merge(pd.DataFrame(lines))
    works = found["unpruned"] - found["without"] >= reader_gate
    return found.assign(works=works)


def counted_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of ``gains_table`` that count: tower learned, reader works, each training once."""
    return table[table["learned"] & table["works"] & ~table["repeated"]]


def _line(name: str, part: pd.DataFrame) -> dict[str, object]:
    values: dict[tuple[str, str], dict[float, float]] = {}
    columns = (part[column].tolist() for column in ("measure", "text", "budget", "value"))
    for measure, text, budget, value in zip(*columns, strict=True):
        values.setdefault((measure, text), {})[budget] = value
    budgets = sorted(values["iou", "random"], reverse=True)
    ious = {rule: np.array([values["iou", rule][b] for b in budgets]) for rule in RULES}
    line: dict[str, object] = {
        "training": name,
        "without": next(iter(values["iou", "none"].values())),
        "unpruned": next(iter(values["iou", "all"].values())),
    }
    for rule, every in ious.items():
        line |= {f"{rule}_{b:g}": float(v) for b, v in zip(budgets, every, strict=True)}
    gain = ious["lowest"] - ious["random"]
    line |= {f"gain_{b:g}": float(v) for b, v in zip(budgets, gain, strict=True)}
    return line | {
        "gain": float(gain.mean()),
        "gain_highest": float((ious["highest"] - ious["random"]).mean()),
        "kept": fmean(values["kept", "lowest"].values()),
        "kept_random": fmean(values["kept", "random"].values()),
    }
