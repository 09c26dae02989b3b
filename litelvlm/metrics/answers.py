"""What an answer in words is worth, and whether it could be read at all."""

import re
import string
from typing import Literal, NamedTuple

WordRule = Literal["exact", "yes_no"]
Rule = Literal[WordRule, "box"]
"""How an answer becomes a score: by its words, as a yes or a no, or by the box it writes."""
State = Literal["read", "unreadable", "empty"]
_WORD = re.compile(r"[a-z]+")
_NO_MARKS = str.maketrans("", "", string.punctuation)


class ScoredAnswer(NamedTuple):
    """One scored answer.

    Attributes:
        read: What the answer was read as: itself, "yes" or "no", or a box in pixels.
        score: 1 if it is right, else 0; of a box its IoU with the true one.
        state: "empty" for no word at all; "unreadable" for a "yes" without that word, and for no
            box in the format of the family.
    """

    read: str
    score: float
    state: State


def score_answer(rule: WordRule, said: str, truth: str) -> ScoredAnswer:
    """Score one answer.

    Args:
        rule: "exact" compares words without case and punctuation, as GQA is scored; "yes_no" reads
            a yes or a no (``read_yes_no``).
        said: What the model said.
        truth: The accepted answer.

    Raises:
        ValueError: If the answer is no text.

    Example:
        >>> score_answer("exact", "Left.", "left")
        ScoredAnswer(read='Left.', score=1.0, state='read')
    """
    if not isinstance(said, str):
        raise ValueError(f"an answer is {said!r}, expected text; one without words is ''")
    read, clear = read_yes_no(said) if rule == "yes_no" else (said.strip(), True)
    state: State = "empty" if not said.strip() else "read" if clear else "unreadable"
    return ScoredAnswer(read, float(_plain(read) == _plain(truth)), state)


def read_yes_no(text: str) -> tuple[str, bool]:
    """How POPE reads an answer, and whether the answer has the word that it is read as.

    The first sentence ends at the first period. It is a "no" if "No", "no" or "not" stands in it
    between blanks, commas aside. Everything else is a "yes", an empty answer too.

    Returns:
        "yes" or "no"; false where the answer is a "yes" without that word.

    Source: POPE's evaluation script (Li et al. 2023).

    Example:
        >>> read_yes_no("There is not, I think."), read_yes_no("Yes."), read_yes_no("None. No.")
        (('no', True), ('yes', True), ('yes', False))
    """
    sentence = text.split(".", 1)[0].replace(",", "")
    if {"No", "no", "not"} & set(sentence.split(" ")):
        return "no", True
    return "yes", "yes" in _WORD.findall(sentence.lower())


def _plain(text: str) -> str:
    return text.lower().translate(_NO_MARKS).strip()
