"""Scores of answers in words: what an answer is read as, and what it is worth."""

from litelvlm.metrics.understanding.answers import exact_match, normalise_answer, vqa_accuracy
from litelvlm.metrics.understanding.choices import read_option, read_pope, read_yes_no
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
    "read_option",
    "read_pope",
    "read_yes_no",
    "score_answer",
    "vqa_accuracy",
    "yes_no_scores",
]
