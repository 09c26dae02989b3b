"""How well questions about images are answered with fewer visual tokens.

A vision-language model of transformers answers the questions of a task with all visual tokens and
with those that a method leaves. This is no ``Study`` of the table: its model gives no masks, and
its data are questions. ``evaluate_questions`` keeps finished parts, as a study does.
"""

from litelvlm.analysis.studies.understanding.evaluate import (
    QuestionScores,
    evaluate_questions,
)

__all__ = ["QuestionScores", "evaluate_questions"]
