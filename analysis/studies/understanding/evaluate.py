"""Answers of a model to a task's questions, scored with intervals; finished parts are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.study import STUDY
from litelvlm.analysis.studies.understanding.tables import with_numbers
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.tasks import load_questions
from litelvlm.models.vlm.model import Vlm
from litelvlm.pruning import Pruner

Failure = tuple[str, float | None, str, int]
"""Method, budget, reason, number of questions."""


@dataclass(frozen=True)
class QuestionScores:
    """What came of a task.

    Attributes:
        folder: The run folder.
        rows: One row per question and condition.
        scores: One line per method, budget and metric, with intervals.
        notes: Known artefacts, and what was left out, with numbers.
        failures: Why conditions have no answers: (method, budget, reason, number of questions).
    """

    folder: Path
    rows: pd.DataFrame
    scores: pd.DataFrame
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def evaluate_questions(
    model: Vlm,
    task: str,
    data: str | Path | QuestionSet = "embedded",
    methods: Sequence[str | Pruner] = (),
    budgets: Sequence[int | float] | None = None,
    draws: int = 5,
    limit: int | None = None,
    out: str | Path = "runs",
    ocr: bool = False,
    blank: bool = True,
) -> QuestionScores:
    """Ask a task's questions with all visual tokens and with those that methods leave.

    The same call goes on where an interrupted one stopped.

    Args:
        model: The model.
        task: A name in ``litelvlm.data.understanding.tasks.TASKS``.
        data: "embedded", a folder, a hub id, or questions already read.
        methods: Names with presets and fields, or method objects; the unpruned model is always
            asked.
        budgets: Visual tokens to keep, or shares of all; the published shares if left out.
        draws: Draws of methods that are random.
        limit: Only the first so many images.
        out: Folder of all runs.
        ocr: Name OCR words in the prompt (TextVQA).
        blank: Ask about a grey picture too, as the baseline of a model that sees nothing.

    Raises:
        ValueError: If a name or a value is refused, or a file is damaged.
        FileNotFoundError: If files are missing.

    Example:
        >>> from litelvlm import load_vlm
        >>> model = load_vlm("vlm:embedded")
        >>> evaluate_questions(model, "pope", methods=["random"], limit=8)  # doctest: +SKIP
    """
    options = {
        "task": task,
        "methods": tuple(methods),
        "budgets": None if budgets is None else tuple(budgets),
        "draws": draws,
        "limit": limit,
        "ocr": ocr,
        "blank": blank,
    }
    try:
        config = Config.model_validate(options)
    except ValidationError as error:
        raise ValueError(problems_of(error)) from error
    questions = data if isinstance(data, QuestionSet) else load_questions(task, data)
    run = SavedRun(complete_run(STUDY, model, questions, config, out))
    notes = (*run.record.notes, *run.table("notes")["note"])
    failures = (*excluded_or_failed(run.record), *missing_answers(run.table("failures")))
    return QuestionScores(run.folder, with_numbers(run.rows), run.table("scores"), notes, failures)


def excluded_or_failed(record: RunRecord) -> list[Failure]:
    """Conditions that were excluded, and questions that raised an error, with the reason."""
    found: list[Failure] = [
        (one.method, float(one.budget), one.reason, record.counts.expected)
        for one in record.excluded
    ]
    if record.failures:
        found.append(("every method", None, "; ".join(record.failures), record.counts.failed))
    return found


def missing_answers(table: pd.DataFrame) -> list[Failure]:
    """Answers that are missing, by condition and reason."""
    return [
        (str(line["method"]), _number(line["budget"]), str(line["reason"]), int(line["questions"]))
        for line in table.to_dict("records")
    ]


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
