"""Answers of a model to a task's questions, scored with intervals; finished parts are kept."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.understanding.plan import conditions, plan_key
from litelvlm.analysis.studies.understanding.rows import complete_rows
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
    questions = questions.first(limit)
    spec = TASKS[task]
    chosen = [Method.of(m) if isinstance(m, Pruner) else Method.parse(m) for m in methods]
    asked = conditions(chosen, budgets, model.n_tokens, draws, blank)
    key = plan_key(model, spec, questions, asked, ocr)
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


def notes_of(questions: QuestionSet, rows: pd.DataFrame, ocr: bool) -> list[str]:
    """Known artefacts, what was left out, and answers that could not be read."""
    notes = list(questions.notes)
    notes += [f"{number} questions left out: {reason}" for reason, number in questions.skipped]
    if questions.missing:
        names = ", ".join(questions.missing[:3])
        more = ", ..." if len(questions.missing) > 3 else ""
        notes.append(f"{len(questions.missing)} pictures are missing: {names}{more}")
    if questions.task == "textvqa":
        notes.append(f"OCR words are {'' if ocr else 'not '}in the prompt")
    for state in ("empty", "unreadable"):
        found = rows[rows["state"] == state]
        if len(found):
            example = found.iloc[0]
            counted = " and count as 'yes', by POPE's rule" if questions.task == "pope" else ""
            notes.append(
                f"{len(found)} of {len(rows)} answers are {state}{counted}; the first is "
                f"{str(example['answer'])[:40]!r} to question {example['question_id']} "
                f"({example['method']})"
            )
    if questions.task == "vizwiz":
        said = rows["read"].fillna("").str.lower() == "unanswerable"
        labels = rows["method"] + rows["budget"].map(lambda b: "" if pd.isna(b) else f" {b:g}")
        notes += [
            f"{name} answers 'unanswerable' to {100 * said[labels == name].mean():.1f} % of the "
            "questions"
            for name in labels.unique()
        ]
    return notes
