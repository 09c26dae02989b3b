"""How well does a model answer questions about images with fewer visual tokens?

A vision-language model of transformers answers the questions of a task with all visual tokens, with
those that a method leaves, and about a grey picture. The engine runs this study as any other. It is
none of `litelvlm study`, because its data are questions, not expressions with masks:
``evaluate_questions`` and `litelvlm evaluate --task` run it.
"""

from litelvlm.analysis.studies.understanding.evaluate import (
    QuestionScores,
    evaluate_questions,
)
from litelvlm.analysis.studies.understanding.study import STUDY

__all__ = ["STUDY", "QuestionScores", "evaluate_questions"]
