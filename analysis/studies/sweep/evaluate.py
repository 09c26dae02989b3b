"""Scores of pruning methods from Python, with their intervals."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.messages.events import Watcher, nobody
from litelvlm.analysis.studies.table import run_study
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import Pruner


def evaluate(
    model: GroundingModel,
    data: Dataset,
    methods: str | Pruner | Sequence[str | Pruner],
    budgets: int | float | Sequence[int | float] | None = None,
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
    counts = (budgets,) if isinstance(budgets, int | float) else budgets
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
