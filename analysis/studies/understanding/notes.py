"""What a reader of the scores should know of the answers: which could not be read."""

from collections.abc import Iterator

import pandas as pd

from litelvlm.data.understanding.free import UNANSWERABLE


def answer_notes(task: str, rows: pd.DataFrame) -> list[str]:
    """Answers that could not be read, and how often the model says that it cannot tell.

    Answers are counted for each method and budget, all draws together; failed ones are none.

    Args:
        task: Name of the task.
        rows: One row per question and condition, failed ones too.
    """
    notes = list(_lost(rows, " and count as 'yes', by POPE's rule" if task == "pope" else ""))
    if task == "vizwiz":
        for name, answered in _answered(rows):
            unsure = answered["read"].str.lower().str.strip(" .") == UNANSWERABLE
            notes.append(f"{name} answers {UNANSWERABLE!r} to {100 * unsure.mean():.1f} % of the "
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
