"""The tables of ablations and of costs: our differences, and ratios to the unpruned model."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.finished import FinishedSplit
from litelvlm.analysis.reproduce.lines import (
    DETECTABLE,
    NOTHING,
    REACH,
    Line,
    published_tokens,
    verdict_of,
)
from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.efficiency.timing import END, PREFILL

MARGIN = 0.1
"""Share of the published ratio: a tenth more or less counts as the same."""


class _Source(NamedTuple):
    """Where a published quantity stands among ours: the component and the metric."""

    component: str
    metric: str
    timed: bool


_SOURCES: Mapping[str, _Source] = MappingProxyType(
    {
        "multiply-adds (T)": _Source(PREFILL, "analytic_macs", False),
        "prefill time (ms)": _Source(PREFILL, "wall_ms", True),
        "CUDA time (ms)": _Source(END, "wall_ms", True),
        "stored activations (GB)": _Source(PREFILL, "activation_bytes", False),
    }
)


def ablation_lines(split: FinishedSplit) -> tuple[Line, ...]:
    """One line per method and budget: its cIoU minus that of its reference, in points."""
    deltas = split.run.summary.table("deltas")
    return tuple(
        Line(
            place=split.name,
            method=f"{line['method']} - {line['reference']}",
            tokens=published_tokens(int(line["budget"]), split.n_tokens),
            budget=int(line["budget"]),
            quantity="cIoU difference",
            unit="points",
            measured=100 * line["delta"],
            low=100 * line["low"],
            high=100 * line["high"],
            tells=100 * line["mde"],
            margin=1.0,
            n_images=int(line["n_images"]),
            n=int(line["n"]),
            verdict="no published number",
        )
        for line in deltas[deltas["metric"] == "ciou"].to_dict("records")
    )


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
        method, source = published.METHOD_BY_LABEL.get(label), _SOURCES[quantity]
        if method is None:
            continue
        theirs = values[quantity, "unpruned", published.N_TOKENS] / value
        margin = MARGIN * theirs
        for one in _measured(tables, source, method, split.n_tokens):
            if published_tokens(one.budget, split.n_tokens) != tokens:
                continue
            ends = (one.low - theirs, one.high - theirs)
            reach = (one.high - one.low) / 2 * (DETECTABLE / REACH)
            comparable = not split.miniature and (gpu or not source.timed)
            found.append(
                Line(
                    place=split.name,
                    method=method,
                    label=label,
                    tokens=tokens,
                    budget=one.budget,
                    quantity=quantity,
                    unit="x",
                    published=theirs,
                    measured=one.ratio,
                    difference=one.ratio - theirs,
                    low=ends[0],
                    high=ends[1],
                    tells=reach if source.timed else NOTHING,
                    margin=margin,
                    n_images=1,
                    n=one.runs,
                    # Rounds are counted, not images.
                    verdict=verdict_of(*ends, margin, MIN_IMAGES, comparable),
                )
            )
    return tuple(found)


class _Ratio(NamedTuple):
    """The unpruned model over a method at a budget, with its interval and rounds."""

    ratio: float
    low: float
    high: float
    budget: int
    runs: int


def _measured(
    tables: Mapping[str, pd.DataFrame], source: _Source, method: str, n_tokens: int
) -> Iterator[_Ratio]:
    """Ratios of one quantity at every budget; a count has no spread."""
    lines = tables["ratios"] if source.timed else tables["costs"]
    events = source.metric.replace("wall", "cuda")  # times between two events, on a GPU only
    metric = events if (lines["metric"] == events).any() else source.metric
    same = (lines["component"] == source.component) & (lines["metric"] == metric)
    chosen = lines[same & (lines["n_text"] == 1)]
    for line in chosen[chosen["method"] == method].to_dict("records"):
        budget = int(line["k"])
        if budget == n_tokens:
            continue
        if source.timed:
            yield _Ratio(line["ratio"], line["low"], line["high"], budget, int(line["n_runs"]))
        else:
            whole = chosen.loc[chosen["method"] == UNPRUNED, "value"].iloc[0]
            ratio = float(whole) / float(line["value"])
            yield _Ratio(ratio, ratio, ratio, budget, 1)
