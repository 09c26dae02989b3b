"""What an answer is read as where few answers are allowed: yes or no, or an option's letter."""

import re
import string
from collections.abc import Sequence

_WORD = re.compile(r"[a-z]+")
_ALONE = re.compile(r"[(\[]?([A-Za-z])[)\].,:]*")
_MARKED = r"\(([{0}])\)|(?<![A-Za-z])([{0}])[.:),]"
_PHRASE = r"(?i:answer|option|choice)(?i:\s+is)?\s*:?\s*(?:\(([{0}])\)|([{0}])(?![A-Za-z]))"
_BARE = r"(?<![A-Za-z'])([{0}])(?![A-Za-z'])"


def read_mme(text: str) -> str:
    """How MME reads an answer: by its first four letters, whatever follows.

    Case and blanks at the ends do not count. A "yes" goes before a "no".

    Returns:
        "yes" or "no"; empty where the four letters hold neither, which is no right answer.

    Source: MME's evaluation script (Fu et al. 2023).

    Example:
        >>> read_mme("Yes, there is."), read_mme("Not at all"), read_mme("There is no dog")
        ('yes', 'no', '')
    """
    start = text.strip().lower()[:4]
    return next((word for word in ("yes", "no") if word in start), "")


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

    Rules are tried in turn: the answer is a letter alone; it is one option's text; it says "answer
    is B"; exactly one letter is marked as in "(B)" or "B."; exactly one letter stands alone ("A"
    counts only in answers of up to three words, where it is no article); exactly one option's text
    occurs. Letters of sentences are capitals, and an answer that names a second one chooses
    neither.

    Args:
        text: The answer.
        options: Texts of the options, the first being A.

    Example:
        >>> read_option("B. a dog", ["a cat", "a dog"]), read_option("A dog", ["a cat", "a dog"])
        ('B', 'B')
    """
    letters = string.ascii_uppercase[: len(options)]
    said = text.strip()
    alone = _ALONE.fullmatch(said)
    if alone is not None and alone[1].upper() in letters:
        return alone[1].upper()
    lowered = _plain(said)
    texts = dict(zip(letters, map(_plain, options), strict=False))
    equal = [letter for letter, text in texts.items() if text and text == lowered]
    if alone is not None or len(equal) == 1:
        return equal[0] if len(equal) == 1 else ""
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
    inside = [
        letter
        for letter, text in texts.items()
        if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", lowered)
    ]
    return inside[0] if len(inside) == 1 else ""


def _plain(text: str) -> str:
    return text.strip().lower().rstrip(".")
