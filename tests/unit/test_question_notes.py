"""Notes beside scores: groups that are absent, and answers that could not be read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.understanding.notes import answer_notes
from litelvlm.data.understanding.question import Question
from litelvlm.data.understanding.tasks import TASKS
from litelvlm.metrics.understanding import COGNITION, PERCEPTION


def grouped(*groups):
    return [Question(str(i), str(i), "?", ("yes",), Path("a.jpg"), group=group)
            for i, group in enumerate(groups)]  # fmt: skip


def test_absent_settings_of_pope_are_named():
    assert TASKS["pope"].notes(grouped("random"))[1:] == [
        "2 of the settings are not among the questions: popular, adversarial; the mean F1 rests on "
        "1 of 3 and is not that of publications"
    ]
    whole = TASKS["pope"].notes(grouped("random", "popular", "adversarial"))
    assert whole == ["'yes' is right in 100.0 % of the questions"]


def test_absent_categories_of_mme_are_named_for_the_totals_that_are_given():
    (note,) = TASKS["mme"].notes(grouped("OCR", "count"))[1:]
    assert note.startswith("8 of the categories of perception are not among the questions: exist")
    assert note.endswith("'perception' rests on 2 of 10 and is not that of publications")
    # Without any category a total is not given, and lacks nothing.
    assert len(TASKS["mme"].notes(grouped(*PERCEPTION))) == 1
    assert len(TASKS["mme"].notes(grouped(*PERCEPTION, *COGNITION))) == 1
    assert "'cognition' rests on 1 of 4" in TASKS["mme"].notes(grouped("code_reasoning"))[1]


def told(task, *rows):
    """Notes from (method, budget, answer, state)."""
    names = ["method", "budget", "answer", "state"]
    table = pd.DataFrame(rows, columns=names).assign(question_id=[str(i) for i in range(len(rows))])
    table["read"] = table["answer"]
    return answer_notes(task, table)


@pytest.mark.parametrize("task", ["mme", "pope"])
def test_lost_answers_are_counted_for_each_condition_and_failed_ones_are_none(task):
    notes = told(
        task,
        ("none", np.nan, "yes", "read"), ("none", np.nan, "", "empty"),
        ("random", 8.0, "who", "unreadable"), ("random", 8.0, "knows", "unreadable"),
        ("random", 8.0, None, "failed"), ("random", 8.0, "no", "read"),
        ("random", 16.0, "no", "read"), ("tome", 8.0, None, "failed"),
    )  # fmt: skip
    rule = " and count as 'yes', by POPE's rule" if task == "pope" else ""
    assert notes == [
        f"1 of 2 answers of none are empty{rule}; the first is '' to question 1",
        f"2 of 3 answers of random 8 are unreadable{rule}; the first is 'who' to question 2",
    ]


def test_the_rate_of_unanswerable_leaves_out_failed_answers_and_ignores_the_period():
    notes = told(
        "vizwiz",
        ("none", np.nan, "Unanswerable.", "read"), ("none", np.nan, "unanswerable", "read"),
        ("none", np.nan, "a can", "read"), ("none", np.nan, "red", "read"),
        ("random", 8.0, "Unanswerable", "read"), ("random", 8.0, None, "failed"),
        ("tome", 8.0, None, "failed"),
    )  # fmt: skip
    assert notes == [
        "none answers 'unanswerable' to 50.0 % of the questions",
        "random 8 answers 'unanswerable' to 100.0 % of the questions",
    ]
