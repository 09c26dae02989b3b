"""Figures of the efficiency bench: time by component, and measured against computed speed-up."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.studies.efficiency.timing import END, PREFILL
from litelvlm.analysis.studies.scores import main_score
from litelvlm.figures import style
from litelvlm.figures.axes import error_bars, legend_beside, lines_of, stacked
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

STAGES = {
    "preprocess": "#BBBBBB",
    "clip_image": "#0072B2",
    "vision": "#0072B2",
    "video_tower": "#56B4E9",
    "selection": "#E69F00",
    "projector": "#999933",
    "llm": "#D55E00",
    "sam_encoder": "#009E73",
    "mask_decoder": "#CC79A7",
    "sam2": "#009E73",
}
"""Components in the order in which bars are stacked, and their colours."""


def draw_components(times: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the median time of every component, one bar per method and budget (E1).

    Args:
        times: The summary's table "times": method, k, component, metric, value.
        ax: Where to draw; only components that were timed appear.
    """
    chosen = times[(times["metric"] == "wall_ms") & times["component"].isin(list(STAGES))]
    arms = list(dict.fromkeys(zip(chosen["method"], chosen["k"], strict=True)))
    wide = chosen.pivot(index=["method", "k"], columns="component", values="value").fillna(0.0)
    stages = [stage for stage in STAGES if stage in wide]
    parts = wide.loc[arms][stages].rename(columns=lambda stage: stage.replace("_", " "))
    names = [f"{style.label(method)}, {k}" for method, k in arms]
    ax.set(xlabel="median time (ms)")
    return stacked(ax, parts, names, [STAGES[stage] for stage in stages])


def timed_part(times: pd.DataFrame) -> str:
    """Component that stands for the time of an arm: the whole call, or the prefill alone."""
    return END if (times["component"] == END).any() else PREFILL


def draw_front(times: pd.DataFrame, scores: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the main score against the median time of a whole call (E2), or of the prefill alone.

    Args:
        times: The bench's table "times".
        scores: A sweep's table "scores" of the same model: method, budget, metric, value, low,
            high.
        ax: Where to draw; one line per method that stands in both.
    """
    part = timed_part(times)
    whole = times[(times["metric"] == "wall_ms") & (times["component"] == part)]
    score = main_score(scores["metric"])
    shown = scores[scores["metric"] == score.name].rename(columns={"budget": "k"})
    shown = shown.rename(columns={"value": score.name})[["method", "k", score.name, "low", "high"]]
    both = whole.merge(shown, on=["method", "k"])
    looks = style.looks(both["method"])
    for method, line in lines_of(both, "method"):
        error_bars(ax, line, "value", score.name, looks[method])
    what = "a whole call" if part == END else "the language model's prefill"
    ax.set(xlabel=f"median time of {what} (ms)", ylabel=score.label)
    return legend_beside(ax)


def draw_arithmetic(
    ratios: pd.DataFrame, costs: pd.DataFrame, published: pd.DataFrame, ax: Axes
) -> Axes:
    """Draw the measured speed-up of the prefill against the one by multiply-adds (E3).

    Args:
        ratios: The summary's table "ratios", unpruned over the arm's.
        costs: The summary's table "costs".
        published: The summary's table "published", whose points are hollow and say so.
        ax: Where to draw; the diagonal is where arithmetic alone decides.
    """
    chosen = ratios[(ratios["component"] == "llm") & (ratios["metric"] == "wall_ms")]
    both = chosen.merge(prefill_ratios(costs), on=["method", "k", "n_text"])
    looks = style.looks(both["method"], dict.fromkeys(both["method"], "none"))
    for method, line in lines_of(both, "method"):
        error_bars(ax, line, "expected", "ratio", looks[method])
    theirs = published_ratios(published)
    for (method, line), mark in zip(lines_of(theirs, "method"), "sD^", strict=False):
        ax.plot(
            line["expected"],
            line["ratio"],
            mark,
            color=style.MUTED,
            markerfacecolor="none",
            label=f"{method}, published",
        )
    ends = 1, max(both["expected"].max(), theirs["expected"].max())
    ax.plot(ends, ends, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(
        xlabel="ratio of multiply-adds, unpruned to pruned", ylabel="ratio of median prefill times"
    )
    return legend_beside(ax)


def published_ratios(published: pd.DataFrame) -> pd.DataFrame:
    """Published ratios, unpruned to pruned: multiply-adds "expected", prefill time "ratio"."""
    chosen = published.assign(value=pd.to_numeric(published["value"]))
    wide = chosen.pivot_table(
        index=["method", "tokens"], columns="quantity", values="value", sort=False
    )
    whole = wide.xs("unpruned", level="method").iloc[0]
    found = (whole / wide.drop(index="unpruned", level="method")).reset_index()
    return found.rename(columns={"multiply-adds (T)": "expected", "prefill time (ms)": "ratio"})


def prefill_ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """Unpruned multiply-adds of the language model over those of each arm, as "expected"."""
    macs = costs[(costs["component"] == "llm") & (costs["metric"] == "analytic_macs")]
    whole = macs[macs["method"] == "none"].set_index("n_text")["value"]
    found: pd.DataFrame = macs.assign(expected=macs["n_text"].map(whole) / macs["value"])
    return found[["method", "k", "n_text", "expected"]]


def _first(table: pd.DataFrame) -> pd.DataFrame:
    first: pd.DataFrame = table[table["n_text"] == table["n_text"].min()]
    return first


def _machine(run: Saved) -> str:
    machine = run.record.machine
    return f"{machine['gpu'] or machine['cpu']}, {run.record.model['dtype']}"


@Drawing("efficiency", ("times",))
def time_components(run: Saved) -> RenderedFigure:
    """Median time by component, method and budget."""
    times = _first(run.table("times"))
    figure, ax = style.new_figure(6.4, 1.2 + 0.22 * len(times[["method", "k"]].drop_duplicates()))
    draw_components(times, ax).set_title(run.title("Where does the time go?"))
    rounds = f"Medians of {int(times['n_runs'].min())} rounds, arms in random order"
    return RenderedFigure(figure, f"{rounds}; {_machine(run)}.")


@Drawing("efficiency", ("times", "scores"), full_size=True)
def time_front(run: Saved) -> RenderedFigure:
    """The cIoU of a sweep against the median time of a whole call, of full-size models."""
    figure, ax = style.new_figure(6.4, 3.6)
    draw_front(_first(run.table("times")), run.table("scores"), ax)
    ax.set_title(run.title("What does accuracy cost?"))
    what = "Bars: 95 % intervals from resampling images; times: medians"
    return RenderedFigure(figure, f"{what}; {_machine(run)}.")


@Drawing("efficiency", ("ratios", "costs", "published"))
def time_arithmetic(run: Saved) -> RenderedFigure:
    """Measured speed-up of the prefill against its multiply-adds."""
    figure, ax = style.new_figure(6.0, 3.6)
    draw_arithmetic(run.table("ratios"), run.table("costs"), run.table("published"), ax)
    ax.set_title(run.title("Does time follow arithmetic?"))
    what = f"95 % intervals of ratios of medians, rounds resampled; {_machine(run)}"
    hollow = "Hollow marks: the authors' published table for the full-size model, not measured here"
    return RenderedFigure(figure, f"{what}. {hollow}.")


DRAWINGS = (time_components, time_front, time_arithmetic)
