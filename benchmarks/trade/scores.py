"""Grounding against understanding: the same method, the same images, masks and answers.

LiteLVLM gives part of its budget to context tokens. More context may help answers that lie in the
surroundings and cost masks. Both are measured on the same images and shown as shares of what the
unpruned model reaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap, ratios
from litelvlm.analysis.studies.table import run_study
from litelvlm.analysis.studies.understanding.evaluate import evaluate_questions
from litelvlm.analysis.studies.understanding.scores import RESAMPLES
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.models.vlm.answering import AnsweringVlm

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Shares of context among the kept tokens."""
BUDGETS = (48, 16, 8)
SIDES = ("grounding", "understanding")
FEWEST = 200
"""Resamples with a crossing that its interval needs: five lie beyond each end then."""


@dataclass(frozen=True)
class Trade:
    """What came of both sides.

    Attributes:
        scores: side, task, method, share (nan for other methods), budget, value, low, high, n,
            n_images, and kept, kept_low, kept_high: the share of the unpruned score.
        crossings: budget, share at which both curves of kept scores cross (nan if they do not),
            low and high of its interval (nan where fewer than ``FEWEST`` resamples have a
            crossing), found: share of the resamples with a crossing, crossed: their number.
    """

    scores: pd.DataFrame
    crossings: pd.DataFrame


def method_of(share: float) -> str:
    """Label of LiteLVLM with a share of context."""
    return f"litelvlm(context_share={share})"


def context_trade(
    grounder: GroundingModel,
    expressions: Dataset,
    answerer: AnsweringVlm,
    task: str = "gqa",
    shares: Sequence[float] = SHARES,
    budgets: Sequence[int] = BUDGETS,
    others: Sequence[str] = ("random",),
    draws: int = 3,
    limit: int | None = None,
    out: str | Path = "runs",
) -> Trade:
    """Sweep the share of context tokens on masks and on answers.

    Args:
        grounder: Model that answers with masks.
        expressions: Its data.
        answerer: Model that answers in words.
        task: Understanding task.
        shares: Shares of context, ascending.
        budgets: Tokens kept.
        others: Methods beside LiteLVLM.
        draws: Draws of methods that are random.
        limit: Only the first so many images of each.
        out: Folder of all runs.

    Raises:
        ValueError: If fewer than two shares are given.
    """
    if len(shares) < 2:
        raise ValueError(f"shares are {tuple(shares)}; a curve needs at least two")
    methods = [*map(method_of, shares), *others]
    run = run_study(
        "sweep", grounder, expressions, out,
        methods=methods, budgets=tuple(budgets), seeds=draws, limit=limit,
    )  # fmt: skip
    found = evaluate_questions(
        answerer, task, methods, tuple(budgets), out, draws=draws, limit=limit, blank=False
    )  # fmt: skip
    masks, answers = mask_columns(run.rows), answer_columns(found.rows)
    return trade_of(masks, answers, list(shares), list(budgets), list(others), task)


def mask_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a sweep as top and bottom of a ratio: intersection and union."""
    return pd.DataFrame({
        "method": rows["method"], "budget": rows["budget"], "image": rows["image_id"].astype(str),
        "top": rows["inter_px"].astype(float), "bottom": rows["union_px"].astype(float),
    })  # fmt: skip


def answer_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of answers as top and bottom of a ratio: score and one."""
    kept = rows[rows["state"] != "failed"]
    return pd.DataFrame({
        "method": kept["method"], "budget": kept["budget"], "image": kept["image_id"].astype(str),
        "top": kept["score"].astype(float), "bottom": 1.0,
    })  # fmt: skip


def trade_of(
    masks: pd.DataFrame,
    answers: pd.DataFrame,
    shares: Sequence[float],
    budgets: Sequence[int],
    others: Sequence[str],
    task: str,
) -> Trade:
    """Scores and crossings from both sides' rows (see ``mask_columns`` and ``answer_columns``)."""
    names = [(method_of(share), budget) for budget in budgets for share in shares]
    names += [(method, budget) for budget in budgets for method in others]
    drawn = {side: _ratios(rows, names) for side, rows in zip(SIDES, (masks, answers), strict=True)}
    lines = []
    for side, result in drawn.items():
        kept = result.draws[:, 1:] / result.draws[:, :1]
        for place, (method, budget) in enumerate([(UNPRUNED, None), *names]):
            low, high = _ends(result.draws[:, place])
            line = {
                "side": side,
                "task": "referring segmentation" if side == SIDES[0] else task,
                "method": method,
                "share": _share_of(method, shares),
                "budget": budget,
                "value": result.value[place],
                "low": low,
                "high": high,
                "n": result.n,
                "n_images": result.n_images,
                "kept": result.value[place] / result.value[0],
            }
            ends = (1.0, 1.0) if place == 0 else _ends(kept[:, place - 1])
            lines.append(line | {"kept_low": ends[0], "kept_high": ends[1]})
    return Trade(pd.DataFrame(lines), _crossings(drawn, shares, budgets))


def _share_of(method: str, shares: Sequence[float]) -> float:
    return next((share for share in shares if method_of(share) == method), float("nan"))


def _ratios(rows: pd.DataFrame, names: Sequence[tuple[str, int]]) -> Bootstrap:
    """The unpruned score, then one per condition; the same images are drawn for all."""
    images = np.array(sorted(rows["image"].unique()))
    tops, bottoms = [], []
    conditions = [rows["method"] == UNPRUNED]
    conditions += [(rows["method"] == m) & (rows["budget"] == b) for m, b in names]
    for chosen in conditions:
        sums = rows[chosen].groupby("image")[["top", "bottom"]].sum().reindex(images, fill_value=0)
        tops.append(sums["top"].to_numpy())
        bottoms.append(sums["bottom"].to_numpy())
    found = bootstrap(np.column_stack(tops + bottoms), images, ratios, RESAMPLES)
    return found._replace(n=int((conditions[0]).sum()))


def _ends(draws: Array) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _crossings(
    drawn: dict[str, Bootstrap], shares: Sequence[float], budgets: Sequence[int]
) -> pd.DataFrame:
    """Where the curves of kept grounding and kept understanding cross, at each budget."""
    lines = []
    for number, budget in enumerate(budgets):
        places = [1 + number * len(shares) + i for i in range(len(shares))]
        gaps = []
        for values in ("value", "draws"):
            kept = []
            for side in SIDES:
                table = np.atleast_2d(getattr(drawn[side], values))
                kept.append(table[:, places] / table[:, :1])
            gaps.append(kept[0] - kept[1])
        own = crossing(gaps[0][0], shares)
        each = np.array([crossing(gap, shares) for gap in gaps[1]])
        each = each[np.isfinite(each)]
        low, high = _ends(each) if len(each) >= FEWEST else (float("nan"), float("nan"))
        found = len(each) / len(gaps[1]) if len(gaps[1]) else 0.0
        line = {"budget": budget, "share": own, "low": low, "high": high, "found": found}
        lines.append(line | {"crossed": len(each)})
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
    return float(shares[-1]) if gap[-1] == 0 else float("nan")
