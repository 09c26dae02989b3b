"""Scores of answers in words: what an answer is read as, and what it is worth."""

from litelvlm.metrics.understanding.answers import exact_match, normalise_answer, vqa_accuracy
from litelvlm.metrics.understanding.categories import COGNITION, PERCEPTION
from litelvlm.metrics.understanding.choices import read_mme, read_option, read_pope
from litelvlm.metrics.understanding.scored import RULES, Scored, score_answer

__all__ = [
    "COGNITION",
    "PERCEPTION",
    "RULES",
    "Scored",
    "exact_match",
    "normalise_answer",
    "read_mme",
    "read_option",
    "read_pope",
    "score_answer",
    "vqa_accuracy",
]
