"""Masks and answers against the share of context tokens, on both bundled miniatures.

Usage: ``python benchmarks/context_trade.py [--limit 80] [--out runs]``.

LiteLVLM gives part of its budget to context tokens. More context may help answers that lie in the
surroundings and cost masks. It runs with several shares of context, at several budgets, on the
miniature GLaMM (cIoU) and on the miniature LLaVA (accuracy on questions about the same images).
Both are shown as shares of what the unpruned model reaches. Writes ``results/context_trade.json``
and the picture ``docs/pictures/context_trade.png``. Finished parts are kept in ``--out``.
"""

import argparse
import json
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import store
from litelvlm import load_model, load_refer, load_vlm
from litelvlm.analysis.api import Bootstrap, evaluate_questions, run_study
from litelvlm.analysis.stats.bootstrap import bootstrap, ratios
from litelvlm.arrays import Array
from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "context_trade.png"
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Shares of context among the kept tokens."""
BUDGETS = (48, 16, 8)
OTHER = "random"
"""The method beside LiteLVLM."""
DRAWS, RESAMPLES = 3, 2000
FEWEST = 200
"""Resamples with a crossing that its interval needs: five lie beyond each end then."""
SIDES = {
    "grounding": ("#D55E00", "o", "masks (cIoU)"),
    "understanding": ("#0072B2", "s", "answers"),
}
"""Colour, marker and label of each side."""


def main() -> None:
    """Measure, draw and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=80, help="images of each side")
    parser.add_argument("--out", default="runs")
    given = parser.parse_args()
    methods = [*map(method_of, SHARES), OTHER]
    model, data = load_model("embedded", device="cpu"), load_refer("embedded", split="val")
    masks = run_study(
        "sweep", model, data, given.out,
        methods=methods, budgets=BUDGETS, seeds=DRAWS, limit=given.limit,
    )  # fmt: skip
    answers = evaluate_questions(
        load_vlm("vlm:embedded", device="cpu"), "gqa", methods, BUDGETS, given.out,
        draws=DRAWS, limit=given.limit, blank=False,
    )  # fmt: skip
    scores, crossings = trade_of(mask_columns(masks.rows), answer_columns(answers.rows))
    with style.styled():
        figure = draw(scores, crossings, "Miniatures: masks and answers against context")
        PICTURE.write_bytes(style.encode(figure, "png")["png"])
    found = {"scores": scores, "crossings": crossings}
    tables = {name: json.loads(table.to_json(orient="records")) for name, table in found.items()}
    store("context_trade", {"limit": given.limit, "task": "gqa", **tables})


def method_of(share: float) -> str:
    """Label of LiteLVLM with a share of context."""
    return f"litelvlm(context_share={share})"


def mask_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a sweep as top and bottom of a ratio: intersection and union."""
    return _columns(rows, rows["inter_px"].astype(float), rows["union_px"].astype(float))


def answer_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of answers as top and bottom of a ratio: score and one."""
    kept = rows[rows["state"] != "failed"]
    return _columns(kept, kept["score"].astype(float), 1.0)


def _columns(rows: pd.DataFrame, top: pd.Series, bottom: pd.Series | float) -> pd.DataFrame:
    image = rows["image_id"].astype(str)
    return rows[["method", "budget"]].assign(image=image, top=top, bottom=bottom)


def trade_of(
    masks: pd.DataFrame,
    answers: pd.DataFrame,
    shares: Sequence[float] = SHARES,
    budgets: Sequence[int] = BUDGETS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and crossings from both sides' rows (see ``mask_columns`` and ``answer_columns``).

    Returns:
        Scores: side, task, method, share (nan for another method), budget, value, low, high, n,
        n_images, and kept, kept_low, kept_high: the share of the unpruned score. Crossings: budget,
        share at which both curves of kept scores cross (nan if they do not), low and high of its
        interval (nan where fewer than ``FEWEST`` resamples have a crossing), found: share of the
        resamples with a crossing, crossed: their number.
    """
    names = [(method_of(share), share, budget) for budget in budgets for share in shares]
    names += [(OTHER, nan, budget) for budget in budgets]
    drawn = {side: _ratios(rows, names) for side, rows in zip(SIDES, (masks, answers), strict=True)}
    lines = []
    for side, result in drawn.items():
        for place, (method, share, budget) in enumerate([("none", nan, None), *names]):
            low, high = _ends(result.draws[:, place])
            kept_low, kept_high = _ends(result.draws[:, place] / result.draws[:, 0])
            lines.append({
                "side": side,
                "task": "referring segmentation" if side == "grounding" else "gqa",
                "method": method, "share": share, "budget": budget,
                "value": result.value[place], "low": low, "high": high,
                "n": result.n, "n_images": result.n_images,
                "kept": result.value[place] / result.value[0],
                "kept_low": kept_low, "kept_high": kept_high,
            })  # fmt: skip
    return pd.DataFrame(lines), _crossings(drawn, shares, budgets)


def _ratios(rows: pd.DataFrame, names: Sequence[tuple[str, float, int]]) -> Bootstrap:
    """The unpruned score, then one per condition; the same images are drawn for all."""
    images = np.array(sorted(rows["image"].unique()))
    conditions = [rows["method"] == "none"]
    conditions += [(rows["method"] == m) & (rows["budget"] == b) for m, _, b in names]
    sums = [
        rows[chosen].groupby("image")[["top", "bottom"]].sum().reindex(images, fill_value=0)
        for chosen in conditions
    ]
    columns = [one[name] for name in ("top", "bottom") for one in sums]
    found = bootstrap(np.column_stack(columns), images, ratios, RESAMPLES)
    return found._replace(n=int(conditions[0].sum()))


def _ends(draws: Array) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _crossings(
    drawn: dict[str, Bootstrap], shares: Sequence[float], budgets: Sequence[int]
) -> pd.DataFrame:
    """Where the curves of kept grounding and kept understanding cross, at each budget."""
    lines = []
    for number, budget in enumerate(budgets):
        places = slice(1 + number * len(shares), 1 + (number + 1) * len(shares))
        tops = [(one.value[None], one.draws) for one in drawn.values()]
        whole, each = (
            grounding[:, places] / grounding[:, :1] - answers[:, places] / answers[:, :1]
            for grounding, answers in zip(*tops, strict=True)
        )
        found = np.array([crossing(gap, shares) for gap in each])
        there = found[np.isfinite(found)]
        low, high = _ends(there) if len(there) >= FEWEST else (nan, nan)
        share = crossing(whole[0], shares)
        line = {"budget": budget, "share": share, "low": low, "high": high}
        lines.append(line | {"found": len(there) / len(each), "crossed": len(there)})
    return pd.DataFrame(lines)


def crossing(gap: Array, shares: Sequence[float]) -> float:
    """First share at which a curve changes its sign, by straight lines; nan if it never does.

    Args:
        gap: Kept grounding minus kept understanding, one value per share.
        shares: Ascending.

    Example:
        >>> import numpy as np
        >>> crossing(np.array([0.2, -0.2]), [0.0, 0.5])
        0.25
    """
    for place in range(len(gap) - 1):
        left, right = float(gap[place]), float(gap[place + 1])
        if left == 0:
            return float(shares[place])
        if left * right < 0:
            step = shares[place + 1] - shares[place]
            return float(shares[place] + step * left / (left - right))
    return float(shares[-1]) if gap[-1] == 0 else nan


def draw(scores: pd.DataFrame, crossings: pd.DataFrame, title: str) -> Figure:
    """One panel against tokens, and one per budget against the share of context.

    Args:
        scores: Of ``trade_of``.
        crossings: Likewise.
        title: Says which models.
    """
    budgets = sorted({int(budget) for budget in scores["budget"].dropna()}, reverse=True)
    figure, panels = style.new_panels(1 + len(budgets), 3.1 * (1 + len(budgets)), 3.5)
    draw_tokens(scores, panels[0])
    for budget, ax in zip(budgets, panels[1:], strict=True):
        draw_shares(scores[scores["budget"] == budget], crossings, budget, ax)
    panels[1].legend(fontsize=7)
    lowest = float(scores["kept_low"].min())
    for ax in panels:
        ax.axhline(1, color=style.MUTED, linewidth=0.8)
        ax.set_ylim(lowest - 0.03, 1.03)
    style.heading(figure, title)
    n = scores.groupby("side")[["n", "n_images"]].first()
    counts = "; ".join(
        f"{side}: n = {row.n} of {row.n_images} images" for side, row in n.iterrows()
    )
    style.note(figure, f"{counts}; bands: 95 % over images. Vertical line: where both cross.")
    return figure


def draw_tokens(scores: pd.DataFrame, ax: Axes) -> None:
    """Kept share of the unpruned score against tokens: no context, half of it, random tokens."""
    shares = sorted(scores["share"].dropna().unique())
    middle = min(shares, key=lambda share: abs(share - 0.5))
    for side, (colour, mark, label) in SIDES.items():
        part = scores[scores["side"] == side].sort_values("budget")
        for share, line in ((shares[0], "-"), (middle, "--")):
            text = f"{label}, {100 * share:.0f} % context"
            _band(ax, part[part["share"] == share], "budget", colour, mark, line, text)
        random = part[part["method"] == OTHER]
        _band(ax, random, "budget", colour, "x", ":", f"{label}, random tokens")
    budget_axis(ax, scores["budget"].dropna())
    ax.set(ylabel="share of the unpruned score", title="against tokens")
    ax.legend(fontsize=6.5, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2)


def draw_shares(scores: pd.DataFrame, crossings: pd.DataFrame, budget: int, ax: Axes) -> None:
    """Kept share against the share of context, at one budget.

    A vertical line marks the crossing, a band its interval. Words say where too few resamples cross
    for an interval.
    """
    for side, (colour, mark, label) in SIDES.items():
        part = scores[(scores["side"] == side) & scores["share"].notna()].sort_values("share")
        _band(ax, part, "share", colour, mark, "-", label)
    one = crossings[crossings["budget"] == budget].iloc[0]
    if isfinite(one["share"]):
        ax.axvline(one["share"], color=style.INK, linewidth=0.9)
    if isfinite(one["low"]):
        ax.axvspan(one["low"], one["high"], color=style.INK, alpha=0.07, linewidth=0)
    else:
        text = f"{one['crossed']:.0f} resamples cross:\ntoo few for an interval"
        ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", fontsize=6.5)
    ax.set(xlabel="share of context among the tokens", title=f"{budget} tokens")


def _band(
    ax: Axes, line: pd.DataFrame, x: str, colour: str, mark: str, linestyle: str, label: str
) -> None:
    ax.plot(line[x], line["kept"], color=colour, marker=mark, markersize=3.5, linestyle=linestyle,
            label=label)  # fmt: skip
    ax.fill_between(
        line[x], line["kept_low"], line["kept_high"], color=colour, alpha=0.13, linewidth=0
    )


if __name__ == "__main__":
    main()
