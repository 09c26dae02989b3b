"""Free answers: exact match after tidying, and the accuracy of VQA against ten people's answers."""

import re
import string
from collections.abc import Sequence
from typing import Literal

Tidying = Literal["vqa", "evalai"]
"""How free answers are tidied: by VQA v2's script, or by EvalAI's answer processor."""

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
_CONTRACTIONS |= dict.fromkeys(("yall'll", "y'allll"), "y'all'll")
_CONTRACTIONS |= dict.fromkeys(("yall'd've", "y'alld've", "y'all'dve"), "y'all'd've")
_CONTRACTIONS |= dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at")
_CONTRACTIONS["somebody'd"] = "somebodyd"  # against the direction of the others, as published
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
# EvalAI's processor would find several commas too, but has dropped all of them by then.
_NUMBER_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def normalise_answer(text: str, tidying: Tidying = "vqa") -> str:
    """An answer as evaluations of VQA compare it.

    Lower case; punctuation removed, or made a blank inside a word; single commas between digits
    dropped; a period stays before a digit only; number words up to ten become digits; articles go;
    contractions get their apostrophe. EvalAI's processor drops every comma and question mark first
    and parts "'s" from its word.

    Args:
        text: The answer.
        tidying: "vqa" as VQA v2's script, "evalai" as EvalAI's processor.

    Source: the evaluation script of VQA v2 (Goyal et al. 2017); EvalAI's answer processor, with
    which TextVQA and VizWiz are scored.

    Example:
        >>> normalise_answer("The two red cars."), normalise_answer("1,000")
        ('2 red cars', '1000')
        >>> normalise_answer("red,blue"), normalise_answer("red,blue", "evalai")
        ('red blue', 'redblue')
    """
    if tidying == "evalai":
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


def vqa_accuracy(prediction: str, answers: Sequence[str], tidying: Tidying = "vqa") -> float:
    """Mean over the answers, each left out in turn, of min(1, matches among the others / 3).

    Args:
        prediction: The model's answer.
        answers: What people answered, usually ten; tidied as the prediction is.
        tidying: See ``normalise_answer``.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: If there are no answers.

    Source: VQA v2's evaluation.
    """
    if not answers:
        raise ValueError("a question needs at least one answer; got none")
    said = normalise_answer(prediction, tidying)
    hits = [normalise_answer(answer, tidying) == said for answer in answers]
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
