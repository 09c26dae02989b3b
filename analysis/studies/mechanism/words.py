"""Parts of an expression by closed lists of words: the noun it is about, and its attributes.

The rule is meant for referring expressions in English ("the small red circle left of the square"):
the head phrase ends before the first preposition or participle, its last word that is no place word
is the noun, and its other content words are the attributes. It needs no parser and is wrong where
the noun does not end its phrase.
"""

from typing import NamedTuple

_ARTICLES = "a an the that this one"
_PLACES = "left right top bottom front back middle center centre far side"
_ENDINGS = (
    "of on in at with by to from near above below behind beside under between next nearest over "
    "beneath inside outside against and that who wearing holding sitting standing facing looking "
    "is has without closest"
)
ARTICLES, PLACES, ENDINGS = (set(words.split()) for words in (_ARTICLES, _PLACES, _ENDINGS))


class SplitExpression(NamedTuple):
    """Parts of an expression.

    Attributes:
        noun: What it is about; empty if no content word is found.
        attributes: Other content words of the head phrase in their order; empty if there are none.
    """

    noun: str
    attributes: str


def split_words(expression: str) -> SplitExpression:
    """Noun and attributes of an expression.

    Example:
        >>> split_words("the small red circle left of the white square")
        SplitExpression(noun='circle', attributes='small red')
        >>> split_words("The leftmost square")
        SplitExpression(noun='square', attributes='leftmost')
    """
    words = [word.strip(".,;:!?\"'") for word in expression.lower().split()]
    end = next((i for i, word in enumerate(words) if word in ENDINGS and i > 0), len(words))
    phrase = [word for word in words[:end] if word and word not in ARTICLES]
    # "circle left of": the place word belongs to the relation. "left": there is no other noun.
    while end < len(words) and len(phrase) > 1 and phrase[-1] in PLACES:
        phrase.pop()
    if not phrase:
        return SplitExpression("", "")
    nouns = [i for i, word in enumerate(phrase) if word not in PLACES] or [len(phrase) - 1]
    noun = nouns[-1]
    return SplitExpression(phrase[noun], " ".join(phrase[:noun] + phrase[noun + 1 :]))
