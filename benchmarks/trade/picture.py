"""Grounding beside understanding: what fewer tokens, and more context among them, do to both."""

from collections.abc import Sequence
from math import isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis

SIDES = {
    "grounding": ("#D55E00", "o", "masks (cIoU)"),
    "understanding": ("#0072B2", "s", "answers"),
}
"""Colour, marker and label of each side."""


def draw_tokens(scores: pd.DataFrame, ax: Axes, shares: Sequence[float]) -> Axes:
    """Kept share of the unpruned score against tokens.

    Args:
        scores: Columns side, method, share, budget, kept, kept_low, kept_high.
        ax: Where to draw; solid without context, dashed with half of it, dotted for random tokens,
            each over its interval.
        shares: Two shares of context to show.
    """
    for side, (colour, mark, label) in SIDES.items():
        part = scores[scores["side"] == side]
        for share, line in zip(shares, ("-", "--"), strict=False):
            found = part[part["share"] == share].sort_values("budget")
            text = f"{label}, {100 * share:.0f} % context"
            _band(ax, found, "budget", colour, mark, line, text)
        random = part[part["method"] == "random"].sort_values("budget")
        _band(ax, random, "budget", colour, "x", ":", f"{label}, random tokens")
    budget_axis(ax, scores["budget"].dropna())
    ax.axhline(1, color=style.MUTED, linewidth=0.8)
    ax.set(ylabel="share of the unpruned score", title="against tokens")
    ax.legend(fontsize=6.5, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2)
    return ax


def draw_shares(scores: pd.DataFrame, crossings: pd.DataFrame, budget: int, ax: Axes) -> Axes:
    """Kept share of the unpruned score against the share of context, at one budget.

    Args:
        scores: As for ``draw_tokens``.
        crossings: Columns budget, share, low, high, found, crossed.
        budget: Tokens kept.
        ax: Where to draw; a vertical line marks the crossing, a band its interval. Where too few
            resamples cross for an interval, words say so.
    """
    chosen = scores[(scores["budget"] == budget) & scores["share"].notna()]
    for side, (colour, mark, label) in SIDES.items():
        part = chosen[chosen["side"] == side].sort_values("share")
        _band(ax, part, "share", colour, mark, "-", label)
    found = crossings[crossings["budget"] == budget]
    columns = found[["share", "low", "high", "crossed"]].to_numpy(dtype=float).tolist()
    for share, low, high, crossed in columns:
        if isfinite(share):
            ax.axvline(share, color=style.INK, linewidth=0.9)
        if isfinite(low) and isfinite(high):
            ax.axvspan(low, high, color=style.INK, alpha=0.07, linewidth=0)
        else:
            text = f"{crossed:.0f} resamples cross:\ntoo few for an interval"
            ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", fontsize=6.5)
    ax.axhline(1, color=style.MUTED, linewidth=0.8)
    ax.set(xlabel="share of context among the tokens", title=f"{budget} tokens")
    return ax


def context_trade(scores: pd.DataFrame, crossings: pd.DataFrame, title: str) -> Figure:
    """The whole figure: one panel against tokens, one per budget against the share of context.

    Args:
        scores: As for ``draw_tokens``.
        crossings: As for ``draw_shares``.
        title: Says which models.
    """
    budgets = sorted({int(budget) for budget in scores["budget"].dropna()}, reverse=True)
    shares = sorted({float(share) for share in scores["share"].dropna()})
    middle = min(shares, key=lambda share: abs(share - 0.5))
    figure, panels = style.new_panels(1 + len(budgets), 3.1 * (1 + len(budgets)), 3.5)
    draw_tokens(scores, panels[0], (shares[0], middle))
    for budget, ax in zip(budgets, panels[1:], strict=True):
        draw_shares(scores, crossings, budget, ax)
    panels[1].legend(fontsize=7)
    lowest = float(scores["kept_low"].min())
    for ax in panels:
        ax.set_ylim(lowest - 0.03, 1.03)
    style.heading(figure, title)
    n = scores.groupby("side")[["n", "n_images"]].first()
    counts = "; ".join(
        f"{side}: n = {row.n} of {row.n_images} images" for side, row in n.iterrows()
    )
    style.note(figure, f"{counts}; bands: 95 % over images. Vertical line: where both cross.")
    return figure


def _band(
    ax: Axes, line: pd.DataFrame, x: str, colour: str, mark: str, linestyle: str, label: str
) -> None:
    ax.plot(line[x], line["kept"], color=colour, marker=mark, markersize=3.5, linestyle=linestyle,
            label=label)  # fmt: skip
    ax.fill_between(
        line[x], line["kept_low"], line["kept_high"], color=colour, alpha=0.13, linewidth=0
    )
