"""The words of captions, and a tokenizer with one token for each of them.

A word is a token, so the length of a text is its number of words and every attention weight belongs
to a word. Nothing is learned from text, so the table is the same on every machine; byte-pair merges
of equal counts are not.
"""

import re
from collections.abc import Iterator

from transformers import PreTrainedTokenizerFast

from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS
from litelvlm.data.worlds.pictograms.places import WORDS as PLACE_WORDS
from litelvlm.data.worlds.pictograms.scenes import level_vocabulary
from litelvlm.models.glamm.prompting.prompts import QUESTIONS
from litelvlm.training.clip_parts import TEXT_LENGTH, word_tokenizer

_FILLER_TEXT = (
    "really nice view taken during our last trip some friends one day early morning before "
    "rest came home so it was quite lovely more info here see page for details best new free "
    "shipping buy online now official site gallery by author all rights reserved"
)
FILLERS: tuple[str, ...] = tuple(_FILLER_TEXT.split())
"""Words without content, as texts from the web have them."""
REDUNDANT: tuple[str, ...] = (
    "that can be seen clearly",
    "which is part of this picture",
    "that everybody would notice",
    "which stands there",
)
"""Clauses that add words to an object and nothing else."""
OPENINGS = (
    "a photo of {}",
    "an image with {}",
    "a picture of {}",
    "there is {}",
    "{} in this image",
    "{}",
)
"""Openings of captions."""
TEMPLATE_WORDS: tuple[str, ...] = tuple(
    sorted({word for text in QUESTIONS for word in re.findall(r"[a-z]+", text.lower())})
)
"""Words of the suite's questions, without the expression."""
SOS, EOS, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"


def vocabulary() -> tuple[str, ...]:
    """Every word and mark that a caption, a question or an expression can hold, sorted."""
    return tuple(sorted({token for text in _texts() for token in split(text)}))


def split(text: str) -> list[str]:
    """Words and marks of a text, as the tokenizer parts them.

    Example:
        >>> split("Is it a dog?")
        ['is', 'it', 'a', 'dog', '?']
    """
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def _texts() -> Iterator[str]:
    for text in (*QUESTIONS, *OPENINGS):
        yield text.format("")
    yield from (*FILLERS, *REDUNDANT, *PLACE_WORDS.values(), *CATEGORIES, *TINTS)
    for level in LEVELS:
        yield " ".join(level_vocabulary(level))
    yield "a and the"


def caption_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with CLIP's frame, [SOS] words [EOS], padded with [EOS] as CLIP's is."""
    return word_tokenizer(
        [*vocabulary(), UNKNOWN, SOS, EOS],
        f"{SOS} $A {EOS}",
        UNKNOWN,
        bos_token=SOS,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=TEXT_LENGTH,
    )
