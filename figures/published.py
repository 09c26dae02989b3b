"""The published accuracy table beside a sweep, at the same shares of tokens.

Both sides are in the official protocol: the published numbers come from several drawn expressions
in one conversation, and a sweep in another protocol judges another method.
"""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.methods import PAPER_RULE, RANDOM
from litelvlm.analysis.studies.published import (
    ACCURACY_CAUTION,
    ACCURACY_SOURCE,
    METHOD_BY_LABEL,
    N_TOKENS,
    SPLITS,
    accuracy,
)
from litelvlm.figures import style, sweep
from litelvlm.figures.axes import budget_axis, lines_of
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, protocol_note

OURS = (PAPER_RULE, "prumerge_plus", RANDOM, "uniform")
"""Drawn on our side as well: the paper's own rule, what stands for LLaVA-PruMerge, and controls,
which the published table has none of."""


def draw_published(table: pd.DataFrame, ax: Axes) -> Axes:
    """Published share of the unpruned cIoU, with hollow marks; no intervals are published.

    Args:
        table: As ``litelvlm.analysis.studies.published.accuracy`` gives it: label, method, tokens,
            kept.
        ax: Where to draw; one line per method.
    """
    for label, line in lines_of(table, "label"):
        method = METHOD_BY_LABEL[label]
        ax.plot(
            line["tokens"],
            line["kept"],
            color=style.colour(method),
            marker=style.mark(method),
            markerfacecolor="white",
            markersize=5,
            linestyle="--",
            linewidth=1.0,
            label=label,
        )
    ax.axhline(sweep.LEAST, color=style.MUTED, linewidth=0.8, zorder=0)
    budget_axis(ax, table["tokens"])
    ax.set(xlabel=f"visual tokens kept, of {N_TOKENS}", ylabel="share of the unpruned cIoU")
    ax.legend(loc="lower right", fontsize=7)
    return ax


def measured(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Lines of "comparisons" for the published methods, for ``OURS`` and no others."""
    return comparisons[comparisons["method"].isin([*METHOD_BY_LABEL.values(), *OURS])]


def same_shares(left: Axes, right: Axes, n_left: int, n_right: int) -> None:
    """Give two axes of token counts the same range of shares, so that equal shares align."""
    ends = [end / n for ax, n in ((left, n_left), (right, n_right)) for end in ax.get_xlim()]
    for ax, n in ((left, n_left), (right, n_right)):
        ax.set_xlim(min(ends) * n, max(ends) * n)


def _comparable(run: Saved) -> bool:
    """Whether a sweep has a published method or a control."""
    compared = sweep.compared_with("none", run)
    return compared and not measured(run.table("comparisons")).empty


@Drawing("sweep", ("scores", "comparisons"), protocol="official", drawable=_comparable)
def published(run: Saved) -> RenderedFigure:
    """The published table beside a sweep in the same protocol, at the same shares of tokens."""
    scores, lines = run.table("scores"), measured(run.table("comparisons"))
    n_tokens = int(scores.loc[scores["method"] == "none", "budget"].max())
    data, split = run.record.data["name"], run.record.data["split"]
    figure, (left, right) = style.new_panels(2, style.PAGE, 3.9, sharey=True)
    draw_published(accuracy(data, split), left)
    sweep.draw_retention(lines, right, sweep.least_kept(run))
    right.set(xlabel=f"visual tokens kept, of {n_tokens}", ylabel="")
    right.legend(loc="lower right", fontsize=7, ncols=2)
    same_shares(left, right, N_TOKENS, n_tokens)
    left.set_ylim(bottom=0)
    where = f"{data} {split}" if (data, split) in SPLITS else f"mean of {len(SPLITS)} splits"
    left.set_title(f"published: GLaMM, {where}", fontsize="medium")
    right.set_title(f"ours: {data} {split}", fontsize="medium")
    style.heading(figure, run.title("Share of the unpruned cIoU: published and ours"))
    what = "bars: one-sided 95 % lower bounds, paired, from resampling images"
    sides = f"Right: {protocol_note(run, lines, what)} Left: {ACCURACY_SOURCE}."
    return RenderedFigure(figure, f"Both sides: official protocol. {sides} {ACCURACY_CAUTION}")


DRAWINGS = (published,)
