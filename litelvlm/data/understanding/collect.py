"""Rows of a task turned into questions; what is left out is counted and named."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from litelvlm.data.understanding.question import (
    NoPictureError,
    Question,
    QuestionDataError,
    QuestionSet,
)
from litelvlm.data.understanding.rows import Row, numbered

MakeQuestion = Callable[[Row], Question | str]
"""From a row to a question, or to the reason why it is left out."""


def collect(
    task: str,
    root: Path,
    rows: Iterable[Row],
    make: MakeQuestion,
    notes: Callable[[list[Question]], list[str]],
) -> QuestionSet:
    """Every question of a task; those without their picture are left out, counted and named.

    Args:
        task: Name of the task.
        root: Where the rows come from, for messages.
        rows: The rows; "image" holds the picture's file, or None.
        make: Makes a question of a row.
        notes: Known artefacts, from the questions that are left.

    Raises:
        QuestionDataError: If a row is damaged, an id stands twice, or no question is left.
    """
    found: list[Question] = []
    missing: dict[str, None] = {}
    skipped: Counter[str] = Counter()
    seen: set[str] = set()

    places = count(1)

    def take(row: Row) -> None:
        place = next(places)
        try:
            question = make(row)
        except NoPictureError:
            missing[f"that of question {place}"] = None
            skipped["picture missing"] += 1
            return
        if isinstance(question, str):
            skipped[question] += 1
            return
        if question.question_id in seen:
            raise QuestionDataError(f"the id {question.question_id!r} stands twice")
        seen.add(question.question_id)
        if question.image.is_file():
            found.append(question)
        else:
            missing[question.image.name] = None
            skipped["picture missing"] += 1

    numbered(rows, str(root), take)
    if not found:
        why = ", ".join(f"{number} x {reason}" for reason, number in skipped.items()) or "no rows"
        first = f"; the first missing picture is {next(iter(missing))}" if missing else ""
        raise QuestionDataError(f"{root} has no question of {task} that can be asked: {why}{first}")
    return QuestionSet(
        task,
        str(root),
        tuple(found),
        tuple(missing),
        tuple(skipped.items()),
        tuple(notes(found)),
    )


def image_in(row: Row) -> Path:
    """The picture of a row.

    Raises:
        NoPictureError: If it names none.
    """
    path = row.get("image")
    if not isinstance(path, Path):
        raise NoPictureError("the question has no picture")
    return path


def no_notes(questions: list[Question]) -> list[str]:
    """Nothing to tell."""
    return []
