"""Lines of costs: the unpruned model over each method, ours beside the published ratio."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.reproduce.budgets import published_tokens
from litelvlm.analysis.reproduce.lines import DETECTABLE, REACH, Agreement, Line
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


def cost_lines(
    tables: Mapping[str, pd.DataFrame], place: str, n_tokens: int, comparable: bool, gpu: bool
) -> tuple[Line, ...]:
    """One line per published quantity, method and budget that was measured.

    Args:
        tables: "ratios" and "costs" of the study ``efficiency``.
        place: Data set and split that the picture is from.
        n_tokens: Visual tokens of the model before pruning.
        comparable: Whether the model is the published one.
        gpu: Whether it ran on a GPU, as the published times did.
    """
    ours, stated = published.METHOD_BY_LABEL, published.efficiency()
    values = {
        (str(q), str(m), int(t)): float(v)
        for q, m, t, v in stated.itertuples(index=False, name=None)
    }
    found = []
    for (quantity, label, tokens), value in values.items():
        if label == UNPRUNED or label not in ours:
            continue
        whole, source = values[quantity, "unpruned", published.N_TOKENS], _SOURCES[quantity]
        for ratio, low, high, budget, runs in _measured(
            tables, source, ours[label], tokens, n_tokens
        ):
            theirs = whole / value
            margin = MARGIN * theirs
            found.append(
                Line(
                    place=place,
                    method=ours[label],
                    label=label,
                    tokens=tokens,
                    budget=budget,
                    quantity=quantity,
                    unit="x",
                    published=theirs,
                    measured=ratio,
                    difference=ratio - theirs,
                    low=low - theirs,
                    high=high - theirs,
                    tells=(high - low) / 2 * (DETECTABLE / REACH) if source.timed else float("nan"),
                    margin=margin,
                    n_images=1,
                    n=runs,
                    verdict=_verdict(low - theirs, high - theirs, margin)
                    if comparable and (gpu or not source.timed)
                    else "not comparable",
                )
            )
    return tuple(found)


def _verdict(low: float, high: float, margin: float) -> Agreement:
    """As for accuracy, but rounds are counted, not images."""
    if -margin <= low and high <= margin:
        return "agrees"
    return "undetermined" if low <= 0 <= high else "differs"


def _measured(
    tables: Mapping[str, pd.DataFrame], source: _Source, method: str, tokens: int, n_tokens: int
) -> Iterator[tuple[float, float, float, int, int]]:
    """Ratio with its interval, budget and rounds; a count has no spread."""
    lines = tables["ratios"] if source.timed else tables["costs"]
    events = source.metric.replace("wall", "cuda")  # times between two events, on a GPU only
    metric = events if (lines["metric"] == events).any() else source.metric
    same = (lines["component"] == source.component) & (lines["metric"] == metric)
    same &= lines["n_text"] == 1
    chosen = lines[same]
    base = chosen.loc[chosen["method"] == UNPRUNED, "value"] if not source.timed else None
    for line in chosen[chosen["method"] == method].to_dict("records"):
        budget = int(line["k"])
        if budget == n_tokens or published_tokens(budget, n_tokens) != tokens:
            continue
        if base is None:
            yield line["ratio"], line["low"], line["high"], budget, int(line["n_runs"])
        else:
            ratio = float(base.iloc[0]) / float(line["value"])
            yield ratio, ratio, ratio, budget, 1
