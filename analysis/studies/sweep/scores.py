"""Scores of a finished sweep as papers print them: official and exact, one line per draw."""

import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.sweep.no_target import no_target_scores, without_target
from litelvlm.analysis.studies.sweep.wide import line_columns
from litelvlm.metrics import EMPTY_BELOW, THRESHOLDS, ciou, giou, precision_at

CELL_COLUMNS = ["method", "budget"]
MEAN = "mean"


def score_lines(rows: pd.DataFrame, empty_below: int = EMPTY_BELOW) -> pd.DataFrame:
    """One line per method, budget and draw, and their mean where there are several draws.

    A draw is what the official evaluation prints as its result: one pass over the images, there
    with drawn expressions and templates, in the other protocols with every expression and the
    tokens of one seed. Scores of draws are never pooled. Columns: "draw", "n" (expressions), "ciou"
    and "giou" with the epsilons of the official code, both "_exact" without, "p50" to "p90"; where
    an expression has no target, "n_acc", "t_acc", and "ciou_no_target" and "giou_no_target" by the
    rule of gRefCOCO.

    Args:
        rows: Of a sweep.
        empty_below: Fewer predicted pixels than this count as "nothing there"; 1 is the official
            rule.

    Raises:
        ValueError: If rows of two protocols are mixed, or ``empty_below`` is below 1.
    """
    if empty_below < 1:
        raise ValueError(
            f"empty_below {empty_below} is below 1; with 1 a single pixel is already an answer"
        )
    line_columns(rows)
    no_target = bool(without_target(rows).any())
    lines = []
    for names, cell in rows.groupby(CELL_COLUMNS, sort=False):
        found = [
            {"draw": str(draw)} | _scores(of_draw, empty_below if no_target else None)
            for draw, of_draw in cell.groupby("seed", sort=True)
        ]
        if len(found) > 1:
            numbers = pd.DataFrame(found).drop(columns=["draw", "n"]).astype(float).mean()
            means = {str(name): value for name, value in numbers.items()}
            found.append({"draw": MEAN, "n": len(cell), **means})
        lines += [dict(zip(CELL_COLUMNS, names, strict=True)) | line for line in found]
    return pd.DataFrame(lines)


def _scores(rows: pd.DataFrame, empty_below: int | None) -> Row:
    inter, union = (rows[name].to_numpy() for name in ("inter_px", "union_px"))
    found: Row = {"n": len(rows)}
    for suffix, exact in (("", False), ("_exact", True)):
        found |= {
            f"ciou{suffix}": ciou(inter, union, exact),
            f"giou{suffix}": giou(inter, union, exact),
        }
    found |= {
        f"p{t * 100:.0f}": share for t, share in precision_at(inter, union, THRESHOLDS).items()
    }
    if empty_below is not None:
        refusing = no_target_scores(rows, empty_below)
        found |= {"n_acc": refusing["n_acc"], "t_acc": refusing["t_acc"]}
        found |= {"ciou_no_target": refusing["ciou"], "giou_no_target": refusing["giou"]}
    return found
