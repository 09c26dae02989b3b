"""Tables of the efficiency bench from its rows."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.efficiency.config import Config
from litelvlm.analysis.studies.efficiency.timing import DECODE, END, PREFILL, median_ratio


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "times" (median and quartiles over rounds), "ratios" (unpruned median over the arm's, with
        intervals), "costs" (operations and bytes), "null" (the arm that keeps all tokens against
        the unpruned model), "break_even" (largest budget that is faster) and "published" (the
        authors' rows).
    """
    by = ["method", "k", "n_text", "component", "metric"]
    taken = rows[rows["round"] >= 0]
    grouped = taken.groupby(by, sort=False)["value"]
    times = grouped.agg(
        value="median",
        q25=lambda v: v.quantile(0.25),
        q75=lambda v: v.quantile(0.75),
        n_runs="size",
    )
    lines = []
    for names, values in grouped:
        method, _, n_text, component, metric = names
        same = (
            (taken["component"] == component)
            & (taken["metric"] == metric)
            & (taken["n_text"] == n_text)
        )
        base = taken[same & (taken["method"] == UNPRUNED)].sort_values("round")["value"].to_numpy()
        arm = taken.loc[values.index].sort_values("round")["value"].to_numpy()
        if method != UNPRUNED and len(base) == len(arm) and np.median(arm) > 0:
            ratio, low, high = median_ratio(base, arm)
            found = {"ratio": ratio, "low": low, "high": high, "n_runs": len(arm)}
            lines.append(dict(zip(by, names, strict=True)) | found)
    ratios = pd.DataFrame(lines)
    return {
        "times": times.reset_index().sort_values(
            ["n_text", "method", "k"], ascending=[True, True, False], kind="stable"
        ),
        "ratios": ratios,
        "costs": rows[rows["round"] < 0].drop(columns=["round"]).reset_index(drop=True),
        "null": null(ratios, int(rows["k"].max())),
        "break_even": break_even(ratios),
        "published": published.efficiency(),
    }


def null(ratios: pd.DataFrame, n_tokens: int) -> pd.DataFrame:
    """Ratios of the arm that keeps all tokens through the paper's method.

    The column ``equal`` says whether the interval holds 1.

    Args:
        ratios: As made by ``make_tables``.
        n_tokens: All tokens.
    """
    whole = ratios[
        (ratios["method"] == PAPER)
        & (ratios["k"] == n_tokens)
        & ratios["component"].isin([END, PREFILL, DECODE])
    ]
    return whole.assign(equal=(whole["low"] <= 1) & (whole["high"] >= 1)).reset_index(drop=True)


def break_even(ratios: pd.DataFrame) -> pd.DataFrame:
    """Largest budget of each method whose whole call is faster than the unpruned one.

    The interval of the ratio must lie above 1; 0 stands for no such budget.

    Args:
        ratios: As made by ``make_tables``; the prefill counts where only it was timed.
    """
    part = timed_part(ratios)
    chosen = ratios[(ratios["component"] == part) & (ratios["metric"] == "wall_ms")]
    faster = chosen.assign(k=chosen["k"].where(chosen["low"] > 1, 0))
    return (
        faster.groupby(["method", "n_text"], sort=False)["k"]
        .max()
        .reset_index()
        .assign(component=part)
    )


def timed_part(ratios: pd.DataFrame) -> str:
    """The whole call where it was timed, else the prefill."""
    return END if (ratios["component"] == END).any() else PREFILL
