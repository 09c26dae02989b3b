"""Embedded questions as documents of lmms-eval, scored as ``litelvlm evaluate --task`` does."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypedDict

import numpy as np
import pandas as pd

from litelvlm.analysis.stats.bootstrap import Estimate, bootstrap, bootstrap_means
from litelvlm.analysis.studies.understanding.intervals import intervals_of
from litelvlm.analysis.studies.understanding.scores import RESAMPLES, columns_of
from litelvlm.data.understanding.question import Question, QuestionSet
from litelvlm.data.understanding.tasks import TASKS, load_questions
from litelvlm.metrics.understanding import score_answer

LOST = ("empty", "unreadable")
"""States of answers that hold nothing to score."""


class QuestionDoc(TypedDict):
    """One question.

    Attributes:
        index: Place in the set.
        question_id: Its id.
        question: Its text, without prompt.
        answer: The accepted answer, of several the first.
    """

    index: int
    question_id: str
    question: str
    answer: str


class AnswerRow(TypedDict):
    """One scored answer, with the columns that scores are made of."""

    question_id: str
    image_id: str
    group: str
    base: str
    truth: str
    draw: int
    answer: str
    read: str
    score: float
    state: str


@lru_cache(maxsize=4)
def open_questions(task: str) -> QuestionSet:
    """The embedded questions of a task; read once."""
    return load_questions(task)


def question_docs(questions: QuestionSet) -> Iterator[QuestionDoc]:
    """Every question of a set."""
    for index, question in enumerate(questions.questions):
        yield {
            "index": index,
            "question_id": question.question_id,
            "question": question.text,
            "answer": question.answers[0],
        }


def answer_row(task: str, question: Question, said: str) -> AnswerRow:
    """Score one answer."""
    scored = score_answer(TASKS[task].scoring, said, question.answers, question.options)
    return {
        "question_id": question.question_id,
        "image_id": question.image_id,
        "group": question.group,
        "base": question.base,
        "truth": question.answers[0],
        "draw": 0,
        "answer": said,
        "read": scored.read,
        "score": scored.score,
        "state": scored.state,
    }


def answer_estimates(task: str, rows: Sequence[AnswerRow]) -> Mapping[str, Estimate]:
    """Every metric of a task with its interval over images.

    "empty" and "unreadable" are shares of the answers. An interval rests on the resamples that
    have a value, and is nan where these are too few (see ``intervals_of``).

    Raises:
        ValueError: If there is no row.
    """
    table = pd.DataFrame(list(rows))
    names, columns, images, statistic = columns_of(table, TASKS[task].scoring)
    found = bootstrap(columns, images, statistic, RESAMPLES)
    lost = np.column_stack([table["state"] == state for state in LOST]).astype(np.float64)
    shares = bootstrap_means(lost, table["image_id"].to_numpy(), RESAMPLES)
    each = [interval.estimate for interval in intervals_of(found)]
    scores = dict(zip(names, each, strict=True))
    return scores | dict(zip(LOST, shares.estimates(), strict=True))
