"""Figures of the ablations: what each part of the method contributes, and for which expressions."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis, forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

ORACLE, INVERSE_ORACLE = "mask_oracle(share=1.0)", "inverse_mask_oracle"


class MethodStyle(NamedTuple):
    """How a line of D1 is drawn; a variant must not look like its method."""

    label: str
    colour: str
    marker: str
    linestyle: str


def _style_of(method: str) -> MethodStyle:
    return MethodStyle(style.label(method), style.colour(method), style.mark(method), "-")


LINE_STYLES: Mapping[str, MethodStyle] = {
    "litelvlm": _style_of("litelvlm"),
    # With one text these are the same tokens, so they are drawn alike in every figure.
    "litelvlm(direction=highest)": _style_of("high_similarity"),
    "litelvlm(texts=shuffled)": MethodStyle(
        "LiteLVLM, text of another image", "#A05195", "<", "--"
    ),
    "litelvlm(texts=empty)": MethodStyle("LiteLVLM, empty text", "#665191", ">", "--"),
    "llm_attention": MethodStyle("attention of the language model", "#2F4B7C", "D", "-."),
    "random": _style_of("random"),
    "uniform": _style_of("uniform"),
}
"""Lines of D1 in the order of its legend."""
# The method whose colour each kind of group has.
_STRATA = {"kind": "litelvlm", "size": "uniform", "words": "mask_oracle"}


def draw_budgets(table: pd.DataFrame, ax: Axes) -> Axes:
    """D1: cIoU against the token budget, between the mask oracle and its inverse.

    Args:
        table: The summary's table "scores": method, budget, metric, value, low, high.
        ax: Where to draw; one line with its band per method of ``LINE_STYLES``. The space between
            the oracles is shaded.
    """
    chosen = table[table["metric"] == "ciou"].sort_values("budget")
    unpruned = chosen[chosen["method"] == "none"]
    for low, value, high in unpruned[["low", "value", "high"]].itertuples(index=False):
        ax.axhline(value, color=style.colour("none"), linewidth=1, label=style.label("none"))
        ax.axhspan(low, high, color=style.colour("none"), alpha=0.08, linewidth=0)
    best, worst = (chosen[chosen["method"] == name] for name in (ORACLE, INVERSE_ORACLE))
    if len(best) and len(worst):
        ax.fill_between(
            best["budget"],
            worst["value"].to_numpy(),
            best["value"].to_numpy(),
            color=style.GRID,
            linewidth=0,
            zorder=0,
            label="between mask oracles",
        )
    for method, (label, colour, marker, linestyle) in LINE_STYLES.items():
        line = chosen[chosen["method"] == method]
        if len(line):
            ax.plot(
                line["budget"],
                line["value"],
                color=colour,
                marker=marker,
                markersize=4.5,
                linestyle=linestyle,
                label=label,
            )
            ax.fill_between(
                line["budget"], line["low"], line["high"], color=colour, alpha=0.12, linewidth=0
            )
    budget_axis(ax, chosen[chosen["method"] != "none"]["budget"])
    ax.set(ylabel="cIoU")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_strata(table: pd.DataFrame, ax: Axes) -> Axes:
    """D2: cIoU minus that of random tokens, by kind of expression, target size and words.

    Args:
        table: The summary's table "strata": stratum, group, budget, delta, low, high.
        ax: Where to draw; one line per group and budget.
    """
    names = [
        f"{group}, {budget} tokens"
        for group, budget in zip(table["group"], table["budget"], strict=True)
    ]
    forest(
        ax,
        table,
        "delta",
        names,
        [style.colour(_STRATA[stratum]) for stratum in table["stratum"]],
        null=0.0,
    )
    ax.set(xlabel="cIoU of LiteLVLM minus that of random tokens", ylabel="")
    return ax


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """D3: cIoU minus that of random tokens, by quarters of the reversal index.

    Args:
        table: The summary's table "gain": quarter, ri, budget, delta, low, high.
        ax: Where to draw; one line per budget, darker for more tokens, each quarter at its mean
            index.
    """
    for place, (budget, line) in enumerate(table.sort_values("ri").groupby("budget")):
        ax.errorbar(
            line["ri"],
            line["delta"],
            yerr=[line["delta"] - line["low"], line["high"] - line["delta"]],
            color=style.colour("litelvlm"),
            alpha=(place + 1) / table["budget"].nunique(),
            marker="os^D"[place % 4],
            markersize=4.5,
            linewidth=1.2,
            capsize=2,
            label=f"{budget} tokens",
        )
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="reversal index, mean of each quarter", ylabel="cIoU minus that of random tokens")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_protocols(table: pd.DataFrame, ax: Axes) -> Axes:
    """The method, its parts and controls in the official and in the single protocol.

    Args:
        table: The summary's table "protocols": protocol, method, budget, ciou, low, high.
        ax: Where to draw; two lines per method and budget. The filled dot is the official protocol,
            the hollow one the single protocol on the same expressions. A vertical line marks the
            unpruned model in the official protocol.
    """
    shown = table[table["protocol"].isin(["official", "single, the expressions drawn"])]
    unpruned = shown[(shown["method"] == "none") & (shown["protocol"] == "official")]["ciou"].item()
    shown = shown[shown["method"] != "none"]
    shown = shown.assign(
        rank=shown["method"].map(style.rank), variant=shown["method"].map(style.line) != "-"
    )
    shown = shown.sort_values(
        ["budget", "rank", "variant", "method", "protocol"],
        ascending=[False, *[True] * 4],
        kind="stable",
    )
    official = (shown["protocol"] == "official").tolist()
    names = [
        f"{style.label(method)}, {budget} tokens" if first else "single protocol"
        for method, budget, first in zip(shown["method"], shown["budget"], official, strict=True)
    ]
    forest(
        ax,
        shown,
        "ciou",
        names,
        [style.colour(m) for m in shown["method"]],
        null=unpruned,
        filled=official,
    )
    ax.set(xlabel="cIoU", ylabel="")
    return ax


def _budgets(run: Saved) -> RenderedFigure:
    table = run.table("scores")
    figure, ax = style.new_figure(6.8, 3.6)
    draw_budgets(table, ax).set_title(run.title("What is each part of the method worth?"))
    return RenderedFigure(
        figure,
        sample_note(
            table, "bands: 95 % intervals from resampling images; oracles read the true mask"
        ),
    )


def _strata(run: Saved) -> RenderedFigure:
    table = run.table("strata")
    shown = enough_images(table)
    figure, ax = style.new_figure(6.0, 1.4 + 0.2 * len(shown))
    draw_strata(shown, ax).set_title(run.title("Where does LiteLVLM beat random tokens?"))
    what = "95 % intervals, paired, from resampling images"
    if len(shown) < len(table):
        what += f"; {len(table) - len(shown)} lines with fewer than {MIN_IMAGES} images left out"
    return RenderedFigure(figure, sample_note(shown, what))


def enough_images(table: pd.DataFrame) -> pd.DataFrame:
    """Lines that rest on at least 20 images; all of them if none does."""
    large = table[table["n_images"] >= MIN_IMAGES]
    return table if large.empty else large


def _gain(run: Saved) -> RenderedFigure:
    table = run.table("gain")
    figure, ax = style.new_figure(5.8, 3.4)
    draw_gain(table, ax).set_title(run.title("Does reversal predict the benefit?"))
    return RenderedFigure(
        figure, sample_note(table, "95 % intervals, paired, from resampling images")
    )


def _protocols(run: Saved) -> RenderedFigure:
    table = run.table("protocols")
    figure, ax = style.new_figure(6.8, 1.4 + 0.11 * len(table))
    draw_protocols(table, ax).set_title(
        run.title("What carries the score in the official protocol?")
    )
    note = sample_note(
        table[table["protocol"] == "official"],
        "n counts every draw; filled: official protocol, up to three expressions in one "
        "conversation with one selection; hollow: single protocol, the same expressions; "
        "line: unpruned model, official protocol; "
        "95 % intervals from resampling images and draws",
    )
    return RenderedFigure(figure, note)


DRAWINGS = {
    "ablation_budgets": Drawing(
        "ablations",
        "cIoU against visual tokens, for the method and its parts.",
        _budgets,
        ("scores",),
    ),
    "ablation_strata": Drawing(
        "ablations",
        "cIoU minus that of random tokens, by kind, size and number of words.",
        _strata,
        ("strata",),
    ),
    "ablation_gain": Drawing(
        "ablations",
        "cIoU minus that of random tokens, by quarters of the reversal index.",
        _gain,
        ("gain",),
    ),
    "ablation_protocols": Drawing(
        "ablations",
        "cIoU of the method and its parts in the official and the single protocol.",
        _protocols,
        ("protocols",),
    ),
}
