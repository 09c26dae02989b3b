"""Figures of the ablations: what each part of the method contributes, and in which protocol."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.studies.scores import main_score
from litelvlm.figures import style
from litelvlm.figures.axes import (
    READINGS,
    WIDER,
    budget_axis,
    dots,
    error_bars,
    legend_beside,
    unpruned_level,
)
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.style import Look, look, over

PROTOCOLS = ("official", "single, the expressions drawn")
"""Protocols of the table "protocols" that are compared draw by draw."""
ORACLE, INVERSE_ORACLE = "mask_oracle(share=1.0)", "inverse_mask_oracle"
BESIDE = 0.06
"""How far the paper's own rule stands right of the released code, in units of the index."""
STEP = 0.05
"""Distance of neighbouring lines of D1, in doublings of the budget."""
NOT_OFFICIAL = 0.32
"""How far the single protocol's dot lies below the official one's, in lines."""


def line_looks() -> dict[str, Look]:
    """Lines of D1 in the order of its legend. A variant does not look like its method."""
    house = {
        PAPER: look(PAPER),
        PAPER_RULE: look(PAPER_RULE)._replace(marker="s"),
        # With one text these are the same tokens, so they are drawn alike in every figure.
        "litelvlm(direction=highest)": look("high_similarity"),
        "litelvlm(texts=shuffled)": Look("#A05195", "<", "--", "LiteLVLM, text of another image"),
        "litelvlm(texts=empty)": Look("#665191", ">", "--", "LiteLVLM, empty text"),
        "llm_attention": Look("#2F4B7C", "D", "-.", "attention of the language model"),
        "random": look("random"),
        "uniform": look("uniform"),
    }
    return {method: over(method, own) for method, own in house.items()}


def draw_budgets(table: pd.DataFrame, ax: Axes) -> Axes:
    """D1: cIoU, of clips J&F, against the token budget, between the mask oracle and its inverse.

    Args:
        table: The summary's table "scores": method, budget, metric, value, low, high.
        ax: Where to draw; one line per method of ``line_looks`` with its intervals, moved sideways
            a little so that none hides another. The space between the oracles is shaded.
    """
    score = main_score(table["metric"])
    chosen = table[table["metric"] == score.name].sort_values("budget")
    unpruned_level(ax, chosen[chosen["method"] == "none"])
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
    looks = line_looks()
    drawn = [method for method in looks if (chosen["method"] == method).any()]
    for place, method in enumerate(drawn):
        line = chosen[chosen["method"] == method]
        beside = 2 ** (STEP * (place - (len(drawn) - 1) / 2))
        line = line.assign(beside=line["budget"] * beside)
        error_bars(ax, line, "beside", "value", looks[method])
    budget_axis(ax, chosen[chosen["method"] != "none"]["budget"])
    ax.set(ylabel=score.label)
    return legend_beside(ax)


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """D3: cIoU, of clips J&F, minus that of random tokens, by quarters of the reversal index.

    Args:
        table: Lines of one budget of the summary's table "gain": quarter, ri, method, delta, low,
            high, low_categories, high_categories.
        ax: Where to draw; each quarter at its mean index. Filled dots are the released code, hollow
            ones beside them the paper's own rule. A thin bar is the wider interval over images and
            categories.
    """
    for method, offset, face in ((PAPER, 0.0, None), (PAPER_RULE, BESIDE, "white")):
        line = table[table["method"] == method]
        line = line.assign(ri=line["ri"] + offset)
        own = look(method)
        ends = line["low_categories"], line["high_categories"]
        ax.vlines(line["ri"], *ends, own.colour, linewidth=0.6)
        if len(line):
            error_bars(ax, line, "ri", "delta", own, face=face)
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    return ax


def draw_protocols(table: pd.DataFrame, ax: Axes) -> Axes:
    """The method, its parts and controls at one budget in the official and the single protocol.

    Args:
        table: Lines of one budget, and of the unpruned model, of the summary's table "protocols":
            protocol, method, ciou (of clips jf), low, high.
        ax: Where to draw; one line per method. The filled dot is the official protocol, the hollow
            one the single protocol on the same expressions. A vertical line marks the unpruned
            model in the official protocol.
    """
    official = table["protocol"] == PROTOCOLS[0]
    name = main_score(map(str, table.columns)).name
    unpruned = table.loc[(table["method"] == "none") & official, name].item()
    methods = protocol_methods(table)
    colours = [style.colour(method) for method in methods]
    for protocol, offset in zip(PROTOCOLS, (0.0, NOT_OFFICIAL), strict=True):
        line = table[table["protocol"] == protocol].set_index("method").loc[methods]
        filled = [protocol == PROTOCOLS[0]] * len(methods)
        dots(ax, line, name, np.arange(len(methods)) + offset, colours, filled)
    ax.set_yticks(np.arange(len(methods)) + NOT_OFFICIAL / 2, [style.label(m) for m in methods])
    ax.set_ylim(len(methods) - 0.4, -0.5)
    ax.axvline(unpruned, color=style.MUTED, linewidth=0.8, zorder=0)
    return ax


def protocol_methods(table: pd.DataFrame) -> list[str]:
    """Methods of the table "protocols", the paper's with its variants first, no unpruned model."""
    names = [str(name) for name in table["method"].unique() if name != "none"]
    return sorted(names, key=lambda name: (style.rank(name), style.is_variant(name), name))


def compared_protocols(run: Saved) -> bool:
    """Whether every method of the table "protocols" has a line in both protocols."""
    table = run.table("protocols")
    lines = {place: set(table.loc[table["protocol"] == place, "method"]) for place in PROTOCOLS}
    official, single = (lines[place] for place in PROTOCOLS)
    return "none" in official and official == single != {"none"}


@Drawing("ablations", ("scores",))
def ablation_budgets(run: Saved) -> RenderedFigure:
    """The cIoU, of clips J&F, of the method and its parts against visual tokens."""
    table = run.table("scores")
    figure, ax = style.new_figure(style.PAGE, 3.6)
    draw_budgets(table, ax).set_title(run.title("What is each part of the method worth?"))
    what = (
        "bars: 95 % intervals from resampling images, moved sideways a little; oracles read "
        "the true mask"
    )
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("ablations", ("gain",))
def ablation_gain(run: Saved) -> RenderedFigure:
    """The cIoU, of clips J&F, minus that of random tokens, by quarters of the reversal index."""
    table, score = run.table("gain"), main_score(run.table("scores")["metric"])
    budgets = sorted(table["budget"].unique(), reverse=True)
    figure, axes = style.new_panels(len(budgets), style.PAGE, 2.7, sharex=True, sharey=True)
    for ax, budget in zip(axes, budgets, strict=True):
        draw_gain(table[table["budget"] == budget], ax).set_title(
            f"{budget} tokens", fontsize="medium"
        )
    axes[0].set_ylabel(f"{score.label} minus that of random tokens", fontsize=8)
    figure.supxlabel("reversal index, mean of each quarter of the expressions", fontsize="medium")
    style.heading(figure, run.title("Does reversal predict the benefit?"))
    what = f"per quarter; {READINGS}; 95 % intervals, paired, from resampling images; {WIDER}"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("ablations", ("protocols",), drawable=compared_protocols)
def ablation_protocols(run: Saved) -> RenderedFigure:
    """The cIoU, of clips J&F, of the method and its parts, official beside single protocol."""
    table = run.table("protocols")
    budgets = sorted(table.loc[table["method"] != "none", "budget"].unique(), reverse=True)
    height = 1.6 + 0.26 * len(protocol_methods(table))
    figure, axes = style.new_panels(len(budgets), style.PAGE, height, sharex=True, sharey=True)
    for ax, budget in zip(axes, budgets, strict=True):
        lines = table[(table["budget"] == budget) | (table["method"] == "none")]
        draw_protocols(lines, ax).set_title(f"{budget} tokens", fontsize="medium")
    figure.supxlabel(main_score(map(str, table.columns)).label, fontsize="medium")
    style.heading(figure, run.title("What carries the score in the official protocol?"))
    what = (
        "n counts every draw; filled: official protocol, up to three expressions in one "
        "conversation with one selection; hollow: single protocol, the same expressions; "
        "line: unpruned model, official protocol; "
        "95 % intervals from resampling images and draws"
    )
    official = table[table["protocol"] == PROTOCOLS[0]]
    return RenderedFigure(figure, sample_note(official, what))


DRAWINGS = (ablation_budgets, ablation_gain, ablation_protocols)
