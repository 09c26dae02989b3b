"""Free answers: exact match after tidying, and the accuracy of VQA against ten people's answers."""

import re
import string
from collections.abc import Sequence

_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
_ARTICLES = frozenset(("a", "an", "the"))
# Verbs that English contracts with "not", and words with the endings that they take.
_NOT = (
    "ai", "are", "ca", "could", "did", "does", "do", "had", "has", "have", "is", "might", "must",
    "need", "ought", "sha", "should", "was", "were", "wo", "would",
)  # fmt: skip
_ENDINGS = {
    "he": ("d", "s"), "how": ("d", "ll", "s"), "it": ("d", "ll"), "she": (),
    "somebody": ("ll", "s"), "someone": ("d", "ll", "s"), "something": ("d", "ll"),
    "that": ("s",), "there": ("d", "re", "s"), "they": ("d", "ll", "re", "ve"), "we": ("ve",),
    "what": ("ll", "re", "s", "ve"), "when": ("s",), "where": ("d", "s", "ve"),
    "who": ("d", "ll", "s", "ve"), "why": ("ll", "re", "s"), "you": ("d", "ll", "re", "ve"),
    "not": ("ve",), "could": ("ve",), "might": ("ve",), "must": ("ve",), "should": ("ve",),
    "would": ("ve",),
}  # fmt: skip
_WOULD_HAVE = ("he", "it", "she", "somebody", "someone", "something", "there", "they", "we", "who",
               "you")  # fmt: skip
_NOT_HAVE = ("could", "had", "might", "should", "would")
_CONTRACTIONS = {f"{verb}nt": f"{verb}n't" for verb in _NOT}
_CONTRACTIONS |= {f"{w}{e}": f"{w}'{e}" for w, ends in _ENDINGS.items() for e in ends}
_CONTRACTIONS |= {f"{w}{form}": f"{w}'d've" for w in _WOULD_HAVE for form in ("d've", "'dve")}
_CONTRACTIONS |= {f"{w}{form}": f"{w}n't've" for w in _NOT_HAVE for form in ("nt've", "n'tve")}
_CONTRACTIONS |= {"yall": "y'all", "maam": "ma'am", "oclock": "o'clock", "twas": "'twas"}
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_COMMA = re.compile(r"(?<=\d),+(?=\d)")
_PERIOD = re.compile(r"\.(?!\d)")


def normalise_answer(text: str) -> str:
    """An answer as VQA's evaluation compares it.

    Lower case; punctuation removed, or made a blank inside a word; commas inside numbers dropped; a
    period stays before a digit only; number words up to ten become digits; articles go;
    contractions get their apostrophe.

    Source: the published evaluation of VQA v2, in the order of EvalAI's answer processor.

    Example:
        >>> normalise_answer("The two red cars."), normalise_answer("1,000")
        ('2 red cars', '1000')
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return _without_articles(_without_marks(re.sub(r"[\n\t]", " ", text).strip()))


def _without_marks(text: str) -> str:
    """Punctuation off: away at a word's edge or where a number holds a comma, else a blank."""
    in_number = _NUMBER_COMMA.search(text) is not None
    out = text
    for mark in _MARKS:
        at_edge = f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if at_edge or in_number else " ")
    return _PERIOD.sub("", out)


def _without_articles(text: str) -> str:
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Mean over the answers, each left out in turn, of min(1, matches among the others / 3).

    Args:
        prediction: The model's answer.
        answers: What people answered, usually ten.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: If there are no answers.

    Source: VQA v2's evaluation.
    """
    if not answers:
        raise ValueError("a question needs at least one answer; got none")
    said = normalise_answer(prediction)
    hits = [normalise_answer(answer) == said for answer in answers]
    total = sum(hits)
    return sum(min(1.0, (total - hit) / 3) for hit in hits) / len(hits)


def exact_match(prediction: str, answer: str) -> float:
    """1 if both are equal in lower case without punctuation and blanks at the ends, else 0.

    Source: GQA's scoring as LLaVA's evaluation and lmms-eval have it.
    """
    return float(_plain(prediction) == _plain(answer))


_NO_MARKS = str.maketrans("", "", string.punctuation)


def _plain(text: str) -> str:
    return text.lower().translate(_NO_MARKS).strip()
