"""What LiteLVLM gains over random tokens in each training, beside its reversal index."""

import pandas as pd

from litelvlm.analysis.runs.columns import Row

RULES = ("lowest", "highest", "random", "oracle")
_WITHOUT_RULE = {"without": "none", "unpruned": "all"}


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
    lines = [
        {"training": name} | _line(part) for name, part in measured.groupby("training", sort=True)
    ]
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


def _line(part: pd.DataFrame) -> Row:
    """IoUs and gains of one training, from its rows."""
    values = {
        (str(measure), str(text)): own.set_index("budget")["value"].sort_index(ascending=False)
        for (measure, text), own in part.groupby(["measure", "text"])
    }
    ious = {rule: values["iou", rule] for rule in RULES}
    gains = {rule: ious[rule] - ious["random"] for rule in ("lowest", "highest")}
    line: Row = {name: values["iou", text].iloc[0] for name, text in _WITHOUT_RULE.items()}
    for name, every in (*ious.items(), ("gain", gains["lowest"])):
        line |= {f"{name}_{budget:g}": value for budget, value in every.items()}
    return line | {
        "gain": gains["lowest"].mean(),
        "gain_highest": gains["highest"].mean(),
        "kept": values["kept", "lowest"].mean(),
        "kept_random": values["kept", "random"].mean(),
    }
