"""What an answer is read as where few answers are allowed: yes or no, or an option's letter."""

import re
import string
from collections.abc import Sequence

_WORD = re.compile(r"[a-z]+")
_ALONE = re.compile(r"[(\[]?([A-Za-z])[)\].,:]*")
_MARKED = r"\(([{0}])\)|(?<![A-Za-z])([{0}])[.:),]"
_PHRASE = r"(?i:answer|option|choice)(?i:\s+is)?\s*:?\s*(?:\(([{0}])\)|([{0}])(?![A-Za-z]))"
_BARE = r"(?<![A-Za-z'])([{0}])(?![A-Za-z'])"


def read_yes_no(text: str) -> str:
    """The first "yes" or "no" among the words of an answer; empty if there is neither.

    Example:
        >>> read_yes_no("Yes, there is."), read_yes_no("There is none")
        ('yes', '')
    """
    words = _WORD.findall(text.lower())
    return next((word for word in words if word in ("yes", "no")), "")


def read_pope(text: str) -> tuple[str, bool]:
    """How POPE reads an answer, and whether the answer has the word that it is read as.

    The first sentence ends at the first period. It is a "no" if "No", "no" or "not" stands in it
    between blanks, commas aside. Everything else is a "yes", an empty answer too.

    Returns:
        "yes" or "no"; false where the answer is a "yes" without that word.

    Source: POPE's evaluation script (Li et al. 2023).

    Example:
        >>> read_pope("There is not, I think."), read_pope("Yes."), read_pope("None. No.")
        (('no', True), ('yes', True), ('yes', False))
    """
    sentence = text.split(".", 1)[0].replace(",", "")
    if {"No", "no", "not"} & set(sentence.split(" ")):
        return "no", True
    return "yes", "yes" in _WORD.findall(sentence.lower())


def read_option(text: str, options: Sequence[str]) -> str:
    """The letter of the option that an answer chooses; empty if it chooses none or several.

    Rules are tried in turn: the answer is a letter alone; it says "answer is B"; exactly one letter
    is marked as in "(B)" or "B."; exactly one letter stands alone ("A" counts only in answers of up
    to three words, where it is no article); exactly one option's text occurs. Letters of sentences
    are capitals, and an answer that names a second one chooses neither.

    Args:
        text: The answer.
        options: Texts of the options, the first being A.

    Example:
        >>> read_option("B. a dog", ["a cat", "a dog"]), read_option("a dog", ["a cat", "a dog"])
        ('B', 'B')
    """
    letters = string.ascii_uppercase[: len(options)]
    said = text.strip()
    alone = _ALONE.fullmatch(said)
    if alone is not None:
        letter = alone[1].upper()
        return letter if letter in letters else ""
    bare = set(re.findall(_BARE.format(letters), said))
    if len(said.split()) > 3:
        bare -= {"A", "I"}
    for rule in (_PHRASE, _MARKED):
        found = {
            letter
            for match in re.finditer(rule.format(letters), said)
            for letter in match.groups()
            if letter
        }
        if len(found) == 1:
            return str(found.pop()) if bare <= found else ""
    if len(bare) == 1:
        return str(bare.pop())
    return _by_text(said, options, letters)


def _by_text(said: str, options: Sequence[str], letters: str) -> str:
    """The only option whose text is the answer, or else occurs in it."""
    lowered = said.lower().rstrip(".")
    texts = [option.strip().lower().rstrip(".") for option in options]
    equal = [letter for letter, text in zip(letters, texts, strict=True) if text == lowered]
    inside = [
        letter
        for letter, text in zip(letters, texts, strict=True)
        if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", lowered)
    ]
    for found in (equal, inside):
        if len(found) == 1:
            return found[0]
    return ""
