"""Scores of pruning methods: from Python with intervals, or draw by draw as papers print them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.messages.events import Watcher, nobody
from litelvlm.analysis.studies.scores import (
    NO_TARGET_SCORES,
    SCORES,
    WITHOUT_SEG,
    counted,
    stated,
    without_target,
)
from litelvlm.analysis.studies.sweep.paired import protocol_name
from litelvlm.analysis.studies.table import run_study
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.metrics import EMPTY_BELOW, ciou, giou
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import Pruner

CELL_COLUMNS = ["method", "budget"]
MEAN = "mean"
COUNTED = ("n", WITHOUT_SEG)
OFFICIAL = {"ciou": ciou, "giou": giou}
"""Scores with the epsilons of the official code."""


def evaluate(
    model: GroundingModel,
    data: Dataset,
    methods: str | Pruner | Sequence[str | Pruner],
    budgets: int | float | np.int64 | np.float64 | Sequence[int | float] | Array | None = None,
    out: str | Path = "runs",
    watch: Watcher = nobody,
    cache: str | Path | None = None,
    **options: object,
) -> pd.DataFrame:
    """Score pruning methods, and the unpruned model beside them, on a split.

    The rows are those of the study "sweep": the same call goes on where an interrupted one stopped.

    Args:
        model: The model.
        data: The split.
        methods: Names ("litelvlm", "fastv:matched", "litelvlm(order=raster)"), or method objects,
            of your own classes too; one or several.
        budgets: Visual tokens to keep, or shares of all from 0 to 1, one or several; the published
            ones if left out.
        out: Folder of all runs.
        watch: As in ``run_study``.
        cache: Folder where encoded images are kept and read again; None keeps none.
        **options: Further fields of the sweep's configuration, such as ``limit=24`` or
            ``protocol="official"``.

    Returns:
        One line per method, budget and metric: "value" in [0, 1], "low" and "high" of its 95 %
        interval over images, and the numbers of expressions "n" and images "n_images".
        ``attrs["run"]`` is the run folder.

    Raises:
        ValueError: If a method, a field or a value is refused.
    """
    several = [methods] if isinstance(methods, str | Pruner) else list(methods)
    chosen = [_method(method) for method in several]
    counts = (budgets,) if isinstance(budgets, int | float | np.number) else budgets
    settings = {"methods": chosen, "budgets": counts, **options}
    run = run_study(
        "sweep",
        model,
        data,
        out,
        pictures=False,
        accept_versions=False,
        watch=watch,
        cache=cache,
        **settings,
    )
    scores = run.table("scores")
    scores.attrs["run"] = str(run.folder)
    return scores


def _method(given: object) -> str | Method:
    if isinstance(given, str):
        return given
    if isinstance(given, Pruner):
        return Method.of(given)
    hint = " (an instance of the class, not the class)" if isinstance(given, type) else ""
    raise ValueError(f"{given!r} is not a method; give a name or get_pruner(...){hint}")


def score_lines(rows: pd.DataFrame, empty_below: int = EMPTY_BELOW) -> pd.DataFrame:
    """One line per method, budget and draw, and their mean where there are several draws.

    A draw is what the official evaluation prints as its result: one pass over the images, there
    with drawn expressions and templates, in the other protocols with every expression and the
    tokens of one seed. Scores of draws are never pooled. Columns: "draw", "n" (expressions),
    "n_without_seg" (their answers without [SEG], which count as empty masks), "ciou" and "giou"
    with the epsilons of the official code, both "_exact" without, "p50" to "p90"; of
    clips "j", "f" and "jf", means over frames and then over expressions; where an expression has
    no target, "n_acc", "t_acc", and "ciou_no_target" and "giou_no_target" by the
    rule of gRefCOCO.

    Args:
        rows: Of a sweep.
        empty_below: Fewer predicted pixels than this count as "nothing there"; 1 is the official
            rule.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    protocol_name(rows)
    no_target = bool(without_target(rows).any())
    lines = []
    for names, cell in rows.groupby(CELL_COLUMNS, sort=False):
        found = [
            {"draw": str(draw)} | _scores(of_draw, empty_below if no_target else None)
            for draw, of_draw in cell.groupby("seed", sort=True)
        ]
        if len(found) > 1:
            numbers = pd.DataFrame(found).drop(columns=["draw", *COUNTED]).astype(float).mean()
            means = {str(name): value for name, value in numbers.items()}
            found.append({"draw": MEAN, **_counts(cell), **means})
        lines += [dict(zip(CELL_COLUMNS, names, strict=True)) | line for line in found]
    return pd.DataFrame(lines)


def _counts(rows: pd.DataFrame) -> Row:
    return dict(zip(COUNTED, (len(rows), int((~rows["seg_found"]).sum())), strict=True))


def _scores(rows: pd.DataFrame, empty_below: int | None) -> Row:
    inter, union = (rows[name].to_numpy() for name in SCORES["ciou"].columns)
    found = _counts(rows)
    found |= {name: official(inter, union) for name, official in OFFICIAL.items()}
    for score in stated(rows, SCORES.values()):
        if score is not SCORES["agreement"]:
            found[f"{score.name}_exact" if score.name in OFFICIAL else score.name] = score.of(rows)
    if empty_below is not None:
        sums = counted(rows, NO_TARGET_SCORES, empty_below).to_numpy().sum(axis=0, keepdims=True)
        for score in NO_TARGET_SCORES:
            ending = "_no_target" if score.name in OFFICIAL else ""
            found[f"{score.name}{ending}"] = float(score.estimate(sums)[0])
    return found
