"""Answers of a model, in words or as boxes, with scores and intervals; finished parts are kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.understanding import STUDY
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.data.dataset import Dataset
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.models.vlm.model import Vlm
from litelvlm.pruning import Pruner


def evaluate_questions(
    model: Vlm,
    task: str | QuestionSet | Dataset,
    methods: Sequence[str | Pruner] = (),
    budgets: Sequence[int | float] | None = None,
    out: str | Path = "runs",
    **options: object,
) -> SavedRun:
    """Ask questions, or for the boxes of expressions, with all visual tokens and with fewer.

    The same call goes on where an interrupted one stopped. ``table("scores")`` of what it returns
    has one line per method, budget and metric; ``table("failures")`` and ``record.excluded`` say
    which conditions lack answers, and why.

    Args:
        model: The model.
        task: "gqa", "pope" or "vqav2", a set of questions, or a split of referring expressions
            (``load_refer``), which are answered with a box.
        methods: Names with presets and fields, or method objects; the unpruned model is always
            asked.
        budgets: Visual tokens to keep, or shares of all; the published shares if left out.
        out: Folder of all runs.
        **options: Other fields of the study's ``Config``: opposites, positions, draws, blank,
            prompt, box_format, max_new_tokens, limit, seed.

    Raises:
        ValueError: If a name or a value is refused.

    Example:
        >>> from litelvlm import load_vlm
        >>> model = load_vlm("vlm:embedded")
        >>> run = evaluate_questions(model, "pope", ["random"], limit=8)  # doctest: +SKIP
        >>> run.table("scores")  # doctest: +SKIP
    """
    given = {"methods": tuple(methods), "budgets": budgets and tuple(budgets), **options}
    data = load_questions(task) if isinstance(task, str) else task
    return SavedRun(complete_run(STUDY, model, data, configured(given), out))


def configured(given: Mapping[str, object]) -> Config:
    """The configuration of the study with some fields.

    Raises:
        ValueError: If a field or a value is refused.
    """
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ValueError(problems_of(error)) from error
