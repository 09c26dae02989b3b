"""Questions about rendered scenes as documents of lmms-eval."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from PIL import Image

from litelvlm.analysis.stats.bootstrap import Estimate, bootstrap_means
from litelvlm.analysis.stats.ends import SHARE
from litelvlm.analysis.studies.understanding.scores import RESAMPLES, estimates_of
from litelvlm.data.understanding.question import TASKS, Question, QuestionSet
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.metrics.answers import score_answer

Doc = Mapping[str, object]
LOST = ("empty", "unreadable")
"""States of answers that hold nothing to score."""


class QuestionSource:
    """The questions of one task.

    Args:
        task: A name in ``litelvlm.data.understanding.question.TASKS``.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        scores = ("f1", "accuracy", "precision", "recall", "yes_ratio")
        self.metrics = (*(scores if task == "pope" else ("accuracy",)), *LOST)

    @cached_property
    def questions(self) -> QuestionSet:
        """All questions; read once."""
        return load_questions(self.task)

    def docs(self) -> list[Doc]:
        """Every question, with its place in the set."""
        return [
            {"index": index, "question_id": one.question_id, "question": one.text}
            for index, one in enumerate(self.questions.questions)
        ]

    def _question(self, doc: Doc) -> Question:
        found = self.questions.questions[int(str(doc["index"]))]
        if doc["question_id"] != found.question_id:
            raise ValueError(
                f"the document of question {doc['question_id']!r} stands at the place of "
                f"{found.question_id!r}; make the documents anew"
            )
        return found

    def picture(self, doc: Doc) -> Image.Image:
        """The picture of a document."""
        return self._question(doc).open()

    def prompt(self, doc: Doc) -> str:
        """What the model is asked."""
        return self._question(doc).prompt

    def target(self, doc: Doc) -> str:
        """The accepted answer."""
        return self._question(doc).answer

    def scored(self, doc: Doc, answer: str) -> dict[str, object]:
        """What the metrics are made of, of one answer: the columns that scores are made of."""
        question = self._question(doc)
        found = score_answer(TASKS[self.task], answer, question.answer)
        return {
            "question_id": question.question_id,
            "image_id": question.image_id,
            "group": question.group,
            "truth": question.answer,
            "answer": answer,
            **found._asdict(),
        }

    def estimates(self, scored: Sequence[Mapping[str, object]]) -> dict[str, Estimate]:
        """Every metric with its interval over images; "empty" and "unreadable" are shares.

        An interval rests on the resamples that have a value, and is nan where these are too few.

        Raises:
            ValueError: If a question is answered twice.
        """
        table = pd.DataFrame(list(scored))
        twice = table["question_id"][table["question_id"].duplicated()]
        if len(twice):
            raise ValueError(
                f"{len(twice)} answers stand twice and would count twice, the first to question "
                f"{twice.iloc[0]!r}"
            )
        lost = np.column_stack([table["state"] == state for state in LOST]).astype(np.float64)
        shares = bootstrap_means(lost, table["image_id"].to_numpy(), RESAMPLES, reach=SHARE)
        found = estimates_of(table, TASKS[self.task])
        scores = {name: estimate for name, (estimate, _) in found.items()}
        return scores | dict(zip(LOST, shares.estimates(), strict=True))
