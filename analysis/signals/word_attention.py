"""How much the text tower's [EOS] token attends to each word of a sentence."""

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import Array
from litelvlm.clip.tower import Tower


class PieceTokenizer(Protocol):
    """The part of a tokenizer that names its pieces."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Pieces of token ids."""


def word_attention(
    tower: Tower, sentence: str
) -> tuple[list[str], int, Float[Array, "layers heads words"]]:
    """Attention of [EOS] to each word of a sentence, the tokens of a word added up.

    Returns:
        The words ([SOS] first, [EOS] last), the number of tokens they are, and the weights. Each
        row of weights sums to 1.

    Raises:
        ValueError: If the text tower has no such row.
    """
    text, attention = tower.text_attention([sentence])
    length = int(text.eos_index[0]) + 1
    tokenizer = cast(PieceTokenizer, tower.tokenizer)
    words, place = group_pieces(
        tokenizer.convert_ids_to_tokens(text.input_ids[0, :length].tolist())
    )
    rows = attention[:, 0, :, :length].float().cpu().numpy()
    return words, length, rows @ np.eye(len(words), dtype=np.float32)[place]


def group_pieces(pieces: Sequence[str]) -> tuple[list[str], list[int]]:
    """Join the tokenizer's pieces to words; a word ends with ``</w>``.

    Args:
        pieces: Pieces of one sentence. The first and the last one are special tokens and stand for
            themselves.

    Returns:
        The words, and for each piece the index of its word.

    Example:
        >>> group_pieces(["<|start|>", "red", "dish</w>", "cup</w>", "<|end|>"])
        (['[SOS]', 'reddish', 'cup', '[EOS]'], [0, 1, 1, 2, 3])
    """
    words, place, word = ["[SOS]"], [0], ""
    for piece in pieces[1:-1]:
        place.append(len(words))
        word += piece.removesuffix("</w>")
        if piece.endswith("</w>"):
            words.append(word)
            word = ""
    if word:  # the text was cut inside a word
        words.append(word)
    return [*words, "[EOS]"], [*place, len(words)]
