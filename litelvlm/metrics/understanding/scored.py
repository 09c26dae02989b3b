"""What one answer is worth under a task's rule, and whether it could be read at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litelvlm.metrics.understanding.answers import exact_match, vqa_accuracy
from litelvlm.metrics.understanding.choices import read_mme, read_option, read_pope
from litelvlm.names import check_name

State = Literal["read", "unreadable", "empty"]
RULES = ("exact", "vqa", "evalai", "yes_no", "mme", "option", "circular")
"""How answers become scores."""


@dataclass(frozen=True)
class Scored:
    """One scored answer.

    Attributes:
        read: What the answer was read as: itself, "yes", "no", or an option's letter; "" if it
            could not be read. POPE reads every answer, see ``read_pope``.
        score: From 0 to 1.
        state: "empty" for no word at all, "unreadable" where only certain answers are allowed and
            this is none of them; in POPE, a "yes" without that word.
    """

    read: str
    score: float
    state: State


def score_answer(
    rule: str, said: str, answers: Sequence[str], options: Sequence[str] = ()
) -> Scored:
    """Score one answer.

    Args:
        rule: One of ``RULES``.
        said: What the model said.
        answers: Accepted answers; for "vqa" and "evalai" those of all people.
        options: Texts of the options, for "option" and "circular".

    Raises:
        ValueError: If the rule is unknown, or there is no accepted answer.
    """
    check_name(rule, RULES, "rule")
    if not answers:
        raise ValueError("a question needs at least one answer; got none")
    empty = not said.strip()
    if rule in ("vqa", "evalai"):
        score = vqa_accuracy(said, answers, "vqa" if rule == "vqa" else "evalai")
        return Scored(said.strip(), score, "empty" if empty else "read")
    if rule == "exact":
        return Scored(said.strip(), exact_match(said, answers[0]), "empty" if empty else "read")
    if rule == "yes_no":
        read, clear = read_pope(said)
    else:
        read = read_mme(said) if rule == "mme" else read_option(said, options)
        clear = bool(read)
    state: State = "empty" if empty else "read" if clear else "unreadable"
    return Scored(read, float(read == answers[0]), state)
