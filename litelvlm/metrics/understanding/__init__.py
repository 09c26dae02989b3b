"""Scores of answers in words: what an answer is read as, and what it is worth."""

from litelvlm.metrics.understanding.answers import exact_match, normalise_answer, vqa_accuracy
from litelvlm.metrics.understanding.choices import read_mme, read_option, read_pope
from litelvlm.metrics.understanding.scored import RULES, Scored, score_answer
from litelvlm.metrics.understanding.totals import (
    COGNITION,
    PERCEPTION,
    circular_accuracy,
    mme_scores,
    yes_no_scores,
)

__all__ = [
    "COGNITION",
    "PERCEPTION",
    "RULES",
    "Scored",
    "circular_accuracy",
    "exact_match",
    "mme_scores",
    "normalise_answer",
    "read_mme",
    "read_option",
    "read_pope",
    "score_answer",
    "vqa_accuracy",
    "yes_no_scores",
]
