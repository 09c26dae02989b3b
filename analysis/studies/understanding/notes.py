"""What a reader of the scores should know: artefacts, what was left out, what could not be read."""

from collections.abc import Iterator

import pandas as pd

from litelvlm.data.understanding.free import UNANSWERABLE
from litelvlm.data.understanding.question import QuestionSet


def notes_of(questions: QuestionSet, rows: pd.DataFrame, ocr: bool) -> list[str]:
    """Known artefacts, what was left out, and answers that could not be read.

    Answers are counted for each method and budget, all draws together; failed ones are none.

    Args:
        questions: What was asked.
        rows: One row per question and condition, failed ones too.
        ocr: Whether OCR words were in the prompt.
    """
    notes = list(questions.notes)
    notes += [f"{number} questions left out: {reason}" for reason, number in questions.skipped]
    if questions.missing:
        names = ", ".join(questions.missing[:3])
        more = ", ..." if len(questions.missing) > 3 else ""
        notes.append(f"{len(questions.missing)} pictures are missing: {names}{more}")
    if questions.task == "textvqa":
        notes.append(f"OCR words are {'' if ocr else 'not '}in the prompt")
    notes += _lost(rows, " and count as 'yes', by POPE's rule" if questions.task == "pope" else "")
    if questions.task == "vizwiz":
        for name, answered in _answered(rows):
            said = answered["read"].str.lower().str.strip(" .") == UNANSWERABLE
            notes.append(f"{name} answers {UNANSWERABLE!r} to {100 * said.mean():.1f} % of the "
                         "questions")  # fmt: skip
    return notes


def _lost(rows: pd.DataFrame, counted: str) -> Iterator[str]:
    """One sentence per condition and state with answers that hold nothing to score."""
    for name, answered in _answered(rows):
        for state in ("empty", "unreadable"):
            found = answered[answered["state"] == state]
            if len(found):
                first = found.iloc[0]
                yield (
                    f"{len(found)} of {len(answered)} answers of {name} are {state}{counted}; the "
                    f"first is {str(first['answer'])[:40]!r} to question {first['question_id']}"
                )


def _answered(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Label and answers of every condition that has any."""
    kept = rows[rows["state"] != "failed"]
    for (method, _), part in kept.groupby(["method", "budget"], dropna=False, sort=False):
        budget = part["budget"].iloc[0]
        yield f"{method}{'' if pd.isna(budget) else f' {budget:g}'}", part
