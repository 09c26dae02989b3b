"""The table of costs: ratios of the unpruned model to a method, published and ours."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.lines import (
    DETECTABLE,
    NOTHING,
    REACH,
    FinishedSplit,
    Line,
    published_tokens,
    verdict_of,
)
from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.efficiency.timing import END, PREFILL

MARGIN = 0.1
"""Share of the published ratio: a tenth more or less counts as the same."""
TIME, EVENTS = "wall_ms", "cuda_ms"
"""Times, and times between two events, which only a GPU has."""
_SOURCES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "multiply-adds (T)": (PREFILL, "analytic_macs"),
        "prefill time (ms)": (PREFILL, TIME),
        "CUDA time (ms)": (END, TIME),
        "stored activations (GB)": (PREFILL, "activation_bytes"),
    }
)
"""Where a published quantity stands among ours: the component and the metric."""


def cost_lines(split: FinishedSplit) -> tuple[Line, ...]:
    """One line per published quantity, method and budget that was measured.

    A time is compared only if it was taken on a GPU, as the published ones were.
    """
    tables = {title: split.run.summary.table(title) for title in ("ratios", "costs")}
    gpu = split.run.record.model["device"] == "cuda"
    stated = published.efficiency().itertuples(index=False, name=None)
    values = {(str(q), str(m), int(t)): float(v) for q, m, t, v in stated}
    found = []
    for (quantity, label, tokens), value in values.items():
        method, (component, metric) = published.METHOD_BY_LABEL.get(label), _SOURCES[quantity]
        theirs = values[quantity, "unpruned", published.N_TOKENS] / value
        margin, timed = MARGIN * theirs, metric == TIME
        lines = _ratios(tables, component, metric)
        for one in lines[(lines["method"] == method) & (lines["n_text"] == 1)].to_dict("records"):
            budget = int(one["k"])
            if budget == split.n_tokens or published_tokens(budget, split.n_tokens) != tokens:
                continue
            ends = (one["low"] - theirs, one["high"] - theirs)
            comparable = not split.miniature and (gpu or not timed)
            found.append(
                Line(
                    place=split.name,
                    method=one["method"],
                    label=label,
                    tokens=tokens,
                    budget=budget,
                    quantity=quantity,
                    unit="x",
                    published=theirs,
                    measured=one["ratio"],
                    difference=one["ratio"] - theirs,
                    low=ends[0],
                    high=ends[1],
                    tells=(ends[1] - ends[0]) / 2 * DETECTABLE / REACH if timed else NOTHING,
                    margin=margin,
                    n_images=1,
                    n=int(one["n_runs"]),
                    # Rounds are counted, not images.
                    verdict=verdict_of(*ends, margin, MIN_IMAGES, comparable),
                )
            )
    return tuple(found)


def _ratios(tables: Mapping[str, pd.DataFrame], component: str, metric: str) -> pd.DataFrame:
    """The unpruned model over each method in one quantity; a count has no spread.

    Returns:
        Columns method, k, n_text, ratio, low, high and n_runs, among others.
    """
    lines = tables["ratios" if metric == TIME else "costs"]
    if metric == TIME and (lines["metric"] == EVENTS).any():
        metric = EVENTS
    lines = lines[(lines["component"] == component) & (lines["metric"] == metric)]
    if "ratio" in lines:
        return lines
    whole = lines.loc[(lines["method"] == UNPRUNED) & (lines["n_text"] == 1), "value"].iloc[0]
    ratio = whole / lines["value"].astype(float)
    return lines.assign(ratio=ratio, low=ratio, high=ratio, n_runs=1)
