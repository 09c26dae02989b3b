"""What one answer is worth under a task's rule, and whether it could be read at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litelvlm.metrics.understanding.answers import exact_match, vqa_accuracy
from litelvlm.metrics.understanding.choices import read_option, read_yes_no
from litelvlm.names import check_name

State = Literal["read", "unreadable", "empty"]
RULES = ("exact", "vqa", "yes_no", "mme", "option", "circular")
"""How answers become scores."""


@dataclass(frozen=True)
class Scored:
    """One scored answer.

    Attributes:
        read: What the answer was read as: itself, "yes", "no", or an option's letter; "" if it
            could not be read.
        score: From 0 to 1.
        state: "empty" for no word at all, "unreadable" where only certain answers are allowed and
            this is none of them.
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
        answers: Accepted answers; for "vqa" those of all people.
        options: Texts of the options, for "option" and "circular".

    Raises:
        ValueError: If the rule is unknown, or there is no accepted answer.
    """
    check_name(rule, RULES, "rule")
    if not answers:
        raise ValueError("a question needs at least one answer; got none")
    empty = not said.strip()
    if rule == "vqa":
        return Scored(said.strip(), vqa_accuracy(said, answers), "empty" if empty else "read")
    if rule == "exact":
        return Scored(said.strip(), exact_match(said, answers[0]), "empty" if empty else "read")
    read = read_yes_no(said) if rule in ("yes_no", "mme") else read_option(said, options)
    # POPE's own evaluation takes what is no "yes" for a "no".
    meant = read or ("no" if rule == "yes_no" else "")
    state: State = "empty" if empty else "read" if read else "unreadable"
    return Scored(read, float(meant == answers[0]), state)
