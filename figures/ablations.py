"""Figures of the ablations: what each part of the method contributes, and in which protocol."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.figures import style
from litelvlm.figures.axes import READINGS, WIDER, budget_axis
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

PROTOCOLS = ("official", "single, the expressions drawn")
"""Protocols of the table "protocols" that are compared draw by draw."""
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
    PAPER: _style_of(PAPER),
    PAPER_RULE: MethodStyle(style.label(PAPER_RULE), style.colour(PAPER), "s", "--"),
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
BESIDE = 0.06
"""How far the paper's own rule stands right of the released code, in units of the index."""
STEP = 0.05
"""Distance of neighbouring lines of D1, in doublings of the budget."""
NOT_OFFICIAL = 0.32
"""How far the single protocol's dot lies below the official one's, in lines."""


def draw_budgets(table: pd.DataFrame, ax: Axes) -> Axes:
    """D1: cIoU against the token budget, between the mask oracle and its inverse.

    Args:
        table: The summary's table "scores": method, budget, metric, value, low, high.
        ax: Where to draw; one line per method of ``LINE_STYLES`` with its intervals, moved sideways
            a little so that none hides another. The space between the oracles is shaded.
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
    drawn = [method for method in LINE_STYLES if (chosen["method"] == method).any()]
    for place, method in enumerate(drawn):
        label, colour, marker, linestyle = LINE_STYLES[method]
        line = chosen[chosen["method"] == method]
        ax.errorbar(
            line["budget"] * 2 ** (STEP * (place - (len(drawn) - 1) / 2)),
            line["value"],
            yerr=[line["value"] - line["low"], line["high"] - line["value"]],
            color=colour,
            marker=marker,
            markersize=4.5,
            linestyle=linestyle,
            linewidth=1.0,
            elinewidth=1.0,
            label=label,
        )
    budget_axis(ax, chosen[chosen["method"] != "none"]["budget"])
    ax.set(ylabel="cIoU")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """D3: cIoU minus that of random tokens, by quarters of the reversal index.

    Args:
        table: Lines of one budget of the summary's table "gain": quarter, ri, method, delta, low,
            high, low_categories, high_categories.
        ax: Where to draw; each quarter at its mean index. Filled dots are the released code, hollow
            ones beside them the paper's own rule. A thin bar is the wider interval over images and
            categories.
    """
    colour = style.colour(PAPER)
    for method, offset, face in ((PAPER, 0.0, colour), (PAPER_RULE, BESIDE, "white")):
        line = table[table["method"] == method].sort_values("ri")
        if line.empty:
            continue
        x = line["ri"] + offset
        ax.vlines(x, line["low_categories"], line["high_categories"], colour, linewidth=0.6)
        ax.errorbar(
            x,
            line["delta"],
            yerr=[line["delta"] - line["low"], line["high"] - line["delta"]],
            color=colour,
            marker="o",
            markersize=4.5,
            markerfacecolor=face,
            linestyle=style.line(method),
            linewidth=0.8,
            elinewidth=1.6,
            label=style.label(method),
        )
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="reversal index, mean of each quarter", ylabel="cIoU minus that of random tokens")
    return ax


def draw_protocols(table: pd.DataFrame, ax: Axes) -> Axes:
    """The method, its parts and controls at one budget in the official and the single protocol.

    Args:
        table: Lines of one budget, and of the unpruned model, of the summary's table "protocols":
            protocol, method, ciou, low, high.
        ax: Where to draw; one line per method. The filled dot is the official protocol, the hollow
            one the single protocol on the same expressions. A vertical line marks the unpruned
            model in the official protocol.
    """
    official = table["protocol"] == PROTOCOLS[0]
    unpruned = table.loc[(table["method"] == "none") & official, "ciou"].item()
    methods = protocol_methods(table)
    for protocol, offset, fill in zip(PROTOCOLS, (0.0, NOT_OFFICIAL), (True, False), strict=True):
        line = table[table["protocol"] == protocol].set_index("method").loc[methods]
        places = np.arange(len(methods)) + offset
        colours = [style.colour(method) for method in methods]
        ax.hlines(places, line["low"], line["high"], colors=colours, linewidth=1.2)
        ax.scatter(
            line["ciou"],
            places,
            c=colours if fill else ["white"] * len(methods),
            edgecolors=colours,
            linewidths=1.0,
            s=16,
            zorder=3,
        )
    ax.set_yticks(np.arange(len(methods)) + NOT_OFFICIAL / 2, [style.label(m) for m in methods])
    ax.set_ylim(len(methods) - 0.4, -0.5)
    ax.axvline(unpruned, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="cIoU", ylabel="")
    return ax


def protocol_methods(table: pd.DataFrame) -> list[str]:
    """Methods of the table "protocols", the paper's with its variants first, no unpruned model."""
    names = [str(name) for name in table["method"].unique() if name != "none"]
    return sorted(names, key=lambda name: (style.rank(name), style.line(name) != "-", name))


def compared_protocols(run: Saved) -> bool:
    """Whether every method of the table "protocols" has a line in both protocols."""
    table = run.table("protocols")
    lines = {place: set(table.loc[table["protocol"] == place, "method"]) for place in PROTOCOLS}
    official, single = (lines[place] for place in PROTOCOLS)
    return "none" in official and official == single != {"none"}


def _budgets(run: Saved) -> RenderedFigure:
    table = run.table("scores")
    figure, ax = style.new_figure(style.PAGE, 3.6)
    draw_budgets(table, ax).set_title(run.title("What is each part of the method worth?"))
    return RenderedFigure(
        figure,
        sample_note(
            table,
            "bars: 95 % intervals from resampling images, moved sideways a little; oracles read "
            "the true mask",
        ),
    )


def _gain(run: Saved) -> RenderedFigure:
    table = run.table("gain")
    budgets = sorted(table["budget"].unique(), reverse=True)
    figure, axes = style.side_panels(len(budgets), 2.7)
    for ax, budget in zip(axes, budgets, strict=True):
        draw_gain(table[table["budget"] == budget], ax).set_title(f"{budget} tokens", fontsize=9)
        ax.set(xlabel="", ylabel="")
    axes[0].set_ylabel("cIoU minus that of random tokens", fontsize=8)
    figure.supxlabel("reversal index, mean of each quarter of the expressions", fontsize=9)
    style.heading(figure, run.title("Does reversal predict the benefit?"))
    what = f"per quarter; {READINGS}; 95 % intervals, paired, from resampling images; {WIDER}"
    return RenderedFigure(figure, sample_note(table, what))


def _protocols(run: Saved) -> RenderedFigure:
    table = run.table("protocols")
    budgets = sorted(table.loc[table["method"] != "none", "budget"].unique(), reverse=True)
    figure, axes = style.side_panels(len(budgets), 1.6 + 0.26 * len(protocol_methods(table)))
    for ax, budget in zip(axes, budgets, strict=True):
        lines = table[(table["budget"] == budget) | (table["method"] == "none")]
        draw_protocols(lines, ax).set_title(f"{budget} tokens", fontsize=9)
        ax.set_xlabel("")
    figure.supxlabel("cIoU", fontsize=9)
    style.heading(figure, run.title("What carries the score in the official protocol?"))
    note = sample_note(
        table[table["protocol"] == PROTOCOLS[0]],
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
    "ablation_gain": Drawing(
        "ablations",
        "cIoU minus that of random tokens, by quarters of the reversal index.",
        _gain,
        ("gain",),
        columns={"gain": ("ri", "method", "low_categories", "high_categories")},
    ),
    "ablation_protocols": Drawing(
        "ablations",
        "cIoU of the method and its parts in the official and the single protocol.",
        _protocols,
        ("protocols",),
        drawable=compared_protocols,
        columns={"protocols": ("protocol", "method", "budget")},
    ),
}
