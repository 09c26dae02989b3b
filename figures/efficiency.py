"""Figures of the efficiency bench: time by component, and measured against computed speed-up."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.studies.efficiency.timing import END, PREFILL
from litelvlm.figures import style
from litelvlm.figures.axes import lines_of
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

STAGES = (
    "preprocess",
    "clip_image",
    "selection",
    "projector",
    "llm",
    "sam_encoder",
    "mask_decoder",
)
COLOURS = ("#BBBBBB", "#0072B2", "#E69F00", "#999933", "#D55E00", "#009E73", "#CC79A7")


def draw_components(times: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the median time of every component, one bar per method and budget (E1).

    Args:
        times: The summary's table "times": method, k, component, metric, value.
        ax: Where to draw; only components that were timed appear.
    """
    chosen = times[(times["metric"] == "wall_ms") & times["component"].isin(STAGES)]
    arms = list(dict.fromkeys(zip(chosen["method"], chosen["k"], strict=True)))
    left = dict.fromkeys(arms, 0.0)
    for stage, colour in zip(STAGES, COLOURS, strict=True):
        part = chosen[chosen["component"] == stage].set_index(["method", "k"])["value"]
        if part.empty:
            continue
        widths = [float(part.get(arm, 0.0)) for arm in arms]
        ax.barh(
            range(len(arms)),
            widths,
            left=list(left.values()),
            color=colour,
            label=stage.replace("_", " "),
        )
        left = {
            arm: start + width for (arm, start), width in zip(left.items(), widths, strict=True)
        }
    ax.set_yticks(range(len(arms)), [f"{style.label(method)}, {k}" for method, k in arms])
    ax.invert_yaxis()
    ax.set(xlabel="median time (ms)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def timed_part(times: pd.DataFrame) -> str:
    """Component that stands for the time of an arm: the whole call, or the prefill alone."""
    return END if (times["component"] == END).any() else PREFILL


def draw_front(times: pd.DataFrame, scores: pd.DataFrame, ax: Axes) -> Axes:
    """Draw cIoU against the median time of a whole call (E2), or of the prefill if it was timed.

    Args:
        times: The bench's table "times".
        scores: A sweep's table "scores" of the same model: method, budget, metric, value, low,
            high.
        ax: Where to draw; one line per method that stands in both.
    """
    part = timed_part(times)
    whole = times[(times["metric"] == "wall_ms") & (times["component"] == part)]
    ciou = scores[scores["metric"] == "ciou"].rename(columns={"budget": "k", "value": "ciou"})
    both = whole.merge(ciou[["method", "k", "ciou", "low", "high"]], on=["method", "k"])
    for method, line in lines_of(both, "method"):
        line = line.sort_values("value")
        reach = [line["ciou"] - line["low"], line["high"] - line["ciou"]]
        ax.errorbar(
            line["value"],
            line["ciou"],
            yerr=reach,
            linewidth=1.2,
            capsize=2,
            label=style.label(method),
            color=style.colour(method),
            marker=style.mark(method) or "o",
        )
    what = "a whole call" if part == END else "the language model's prefill"
    ax.set(xlabel=f"median time of {what} (ms)", ylabel="cIoU")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_arithmetic(
    ratios: pd.DataFrame, costs: pd.DataFrame, ax: Axes, published: pd.DataFrame | None = None
) -> Axes:
    """Draw the measured speed-up of the prefill against the one by multiply-adds (E3).

    Args:
        ratios: The summary's table "ratios", unpruned over the arm's.
        costs: The summary's table "costs".
        ax: Where to draw; the diagonal is where arithmetic alone decides.
        published: The summary's table "published", whose points are hollow and say so.
    """
    expected = prefill_ratios(costs)
    chosen = ratios[(ratios["component"] == "llm") & (ratios["metric"] == "wall_ms")]
    both = chosen.merge(expected, on=["method", "k", "n_text"])
    for method, line in lines_of(both, "method"):
        line = line.sort_values("expected")
        reach = [line["ratio"] - line["low"], line["high"] - line["ratio"]]
        ax.errorbar(
            line["expected"],
            line["ratio"],
            yerr=reach,
            linestyle="none",
            capsize=2,
            label=style.label(method),
            color=style.colour(method),
            marker=style.mark(method) or "o",
        )
    most = float(both["expected"].max())
    if published is not None:
        theirs = published_ratios(published)
        most = max(most, float(theirs["expected"].max()))
        for (method, line), mark in zip(lines_of(theirs, "method"), "sD^", strict=False):
            ax.plot(
                line["expected"],
                line["ratio"],
                label=f"{method}, published",
                marker=mark,
                markerfacecolor="none",
                color=style.MUTED,
                linestyle="none",
            )
    ax.plot([1, most], [1, most], color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(
        xlabel="ratio of multiply-adds, unpruned to pruned", ylabel="ratio of median prefill times"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


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


def _components(run: Saved) -> RenderedFigure:
    times = _first(run.table("times"))
    figure, ax = style.new_figure(6.4, 1.2 + 0.22 * len(times[["method", "k"]].drop_duplicates()))
    draw_components(times, ax).set_title(run.title("Where does the time go?"))
    return RenderedFigure(
        figure,
        f"Medians of {int(times['n_runs'].min())} rounds, arms in random order; {_machine(run)}.",
    )


def _front(run: Saved) -> RenderedFigure:
    figure, ax = style.new_figure(6.4, 3.6)
    draw_front(_first(run.table("times")), run.table("scores"), ax).set_title(
        run.title("What does accuracy cost?")
    )
    return RenderedFigure(
        figure, f"Bars: 95 % intervals from resampling images; times: medians; {_machine(run)}."
    )


def _arithmetic(run: Saved) -> RenderedFigure:
    figure, ax = style.new_figure(6.0, 3.6)
    draw_arithmetic(run.table("ratios"), run.table("costs"), ax, run.table("published"))
    ax.set_title(run.title("Does time follow arithmetic?"))
    hollow = "Hollow marks: the authors' published table for the full-size model, not measured here"
    return RenderedFigure(
        figure, f"95 % intervals of ratios of medians, rounds resampled; {_machine(run)}. {hollow}."
    )


def _machine(run: Saved) -> str:
    machine = run.record.machine
    return f"{machine['gpu'] or machine['cpu']}, {run.record.model['dtype']}"


DRAWINGS = {
    "time_components": Drawing(
        "efficiency", "Median time by component, method and budget.", _components, ("times",)
    ),
    "time_front": Drawing(
        "efficiency",
        "cIoU of a sweep against the median time of a whole call, of full-size models.",
        _front,
        ("times", "scores"),
        full_size=True,
    ),
    "time_arithmetic": Drawing(
        "efficiency",
        "Measured speed-up of the prefill against its multiply-adds.",
        _arithmetic,
        ("ratios", "costs", "published"),
    ),
}
