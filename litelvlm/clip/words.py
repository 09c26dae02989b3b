"""Words that a tower with a small vocabulary of its own has never read."""

import re
from collections.abc import Sequence

from litelvlm.clip.parts import TowerParts

SMALL = 10_000
"""Vocabularies below this were learned from the captions of one world; the web's have 49,408."""
_WORD = re.compile(r"[^\W_]+")
_ENDS = 2  # [SOS] and [EOS]


def unknown_words(tower: TowerParts, texts: Sequence[str]) -> tuple[str, ...]:
    """Words of texts that were in no caption the tower was trained on, each once, in their order.

    A tokenizer that was learned from the sentences of one small world holds each of their words as
    one token. A word that it cuts into several was in none of them. A vocabulary of the web cuts
    many words that the tower knows well, so nothing can be said of such a tower.

    Args:
        tower: A CLIP with its tokenizer.
        texts: Expressions or sentences.

    Returns:
        Lower-cased words; none for a tower with 10,000 tokens or more.

    Example:
        >>> from litelvlm import load_model
        >>> unknown_words(load_model("embedded").tower, ["the zygote"])
        ('zygote',)
    """
    words = list(dict.fromkeys(word for text in texts for word in _WORD.findall(text.lower())))
    size = tower.vocabulary_size
    if not words or size is None or size >= SMALL:
        return ()
    _, mask, _ = tower.tokenize(words)
    lengths = (mask.sum(dim=1) - _ENDS).tolist()
    return tuple(word for word, length in zip(words, lengths, strict=True) if length > 1)
