"""Answers of a model to a task's questions, scored with intervals; finished parts are kept."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.understanding.notes import notes_of
from litelvlm.analysis.studies.understanding.plan import conditions, plan_key
from litelvlm.analysis.studies.understanding.rows import answer_rows, complete_rows
from litelvlm.analysis.studies.understanding.scores import scores_of
from litelvlm.data.files import atomic_write
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.tasks import TASKS, load_questions
from litelvlm.models.vlm.asking import AskedVlm
from litelvlm.pruning import Pruner


@dataclass(frozen=True)
class QuestionScores:
    """What came of a task.

    Attributes:
        folder: The run folder.
        rows: One row per question and condition.
        scores: One line per method, budget and metric, with intervals.
        notes: Known artefacts, and what was left out, with numbers.
        failures: Why conditions failed: (method, budget, reason, number of questions).
    """

    folder: Path
    rows: pd.DataFrame
    scores: pd.DataFrame
    notes: tuple[str, ...]
    failures: tuple[tuple[str, float | None, str, int], ...]


def evaluate_questions(
    model: AskedVlm,
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
        >>> from litelvlm.models.vlm.asking import load_asked_vlm
        >>> model = load_asked_vlm("embedded")
        >>> evaluate_questions(model, "pope", methods=["random"], limit=8)  # doctest: +SKIP
    """
    questions = data if isinstance(data, QuestionSet) else load_questions(task, data)
    spec = TASKS[task]
    if limit is not None:  # what is known of all questions need not hold for the first ones
        questions = questions.first(limit)
        questions = replace(questions, notes=tuple(spec.notes(list(questions.questions))))
    chosen = [Method.of(m) if isinstance(m, Pruner) else Method.parse(m) for m in methods]
    asked = conditions(chosen, budgets, model.n_tokens, draws, blank)
    key = plan_key(model, spec, questions, asked, ocr, answer_rows)
    folder = Path(out) / f"understanding-{task}-{key[:12]}"
    rows = complete_rows(model, spec, questions.questions, asked, folder, ocr)
    found = scores_of(rows, spec.scoring)
    scores, notes = found.lines, (*notes_of(questions, rows, ocr), *found.notes)
    failed = rows[rows["state"] == "failed"].astype({"budget": object})
    failed = failed.where(failed["budget"].notna(), None)
    failures = tuple(
        (str(method), None if budget is None else float(budget), str(reason), n)
        for (method, budget, reason), n in Counter(
            zip(failed["method"], failed["budget"], failed["failure"], strict=True)
        ).items()
    )
    summary = {
        "task": task,
        "data": questions.root,
        "model": model.name,
        "key": key,
        "questions": len(questions),
        "notes": list(notes),
        "failures": [list(failure) for failure in failures],
        "scores": json.loads(scores.to_json(orient="records")),
    }
    atomic_write(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    return QuestionScores(folder, rows, scores, notes, failures)
