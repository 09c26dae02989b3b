"""The [EOS] row of a text tower's attention and what it measures, sentence by sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

TRUNCATED = "text longer than the text tower reads"
SPLIT_WORDS = "the expression's tokens do not stand together in the question"
MEASURES = ("a_sos", "lift", "content_share", "content_uniform", "punct_share", "self_share", "entropy_norm")
MEAN_HEAD = -1


class UnusableTextError(Exception):
    """A text that cannot be measured, with the reason."""


def permuted(text: str, rng: np.random.Generator) -> str:
    """The words in another order (the same if there is only one)."""
    words = text.split()
    return " ".join(words[i] for i in rng.permutation(len(words)))


@torch.inference_mode()
def text_rows(
    tower: Any, asked: dict[str, tuple[str, str]], punctuation: frozenset[int], weights: str
) -> list[dict[str, Any]]:
    """Rows of one expression in several wordings.

    Args:
        tower: Whose text side is read.
        asked: By name of the wording, the sentence and the expression inside it. Wordings with permuted words and
            random weights are kept as means over heads only.
        punctuation: Token ids of punctuation marks.
        weights: Name of the weights, for the rows.
    """
    sentences = [sentence for sentence, _ in asked.values()]
    text, attention = tower.text_attention(sentences)
    inner = tower.text([expression for _, expression in asked.values()])
    if any(text.truncated):
        raise UnusableTextError(TRUNCATED)
    rows = []
    for number, mode in enumerate(asked):
        length = int(text.eos_index[number]) + 1
        ids = text.input_ids[number, :length].tolist()
        content = content_positions(ids, inner.input_ids[number, 1 : int(inner.eos_index[number])].tolist())
        marks = np.array([position for position, token in enumerate(ids) if token in punctuation], dtype=np.int64)
        found = attention_measures(
            attention[:, number, :, :length].float().cpu().numpy().astype(np.float64), content, marks
        )
        tags = {"text_mode": mode, "weights": weights, "n_tokens": length}
        heads_kept = mode != "permuted" and weights == "trained"
        for layer in range(attention.shape[0]):
            means = {name: float(values[layer].mean()) for name, values in found.items()}
            rows.append(tags | {"layer": layer, "head": MEAN_HEAD} | means)
            if heads_kept:
                rows += [
                    tags | {"layer": layer, "head": head} | {name: float(v[layer, head]) for name, v in found.items()}
                    for head in range(attention.shape[2])
                ]
    return rows


def content_positions(sentence: Sequence[int], expression: Sequence[int]) -> Int[np.ndarray, "c"]:
    """Where the expression's tokens stand in the sentence's (the first place, if several)."""
    n = len(expression)
    for start in range(1, len(sentence) - n + 1):
        if list(sentence[start : start + n]) == list(expression):
            return np.arange(start, start + n)
    raise UnusableTextError(SPLIT_WORDS)


def attention_measures(
    rows: Float[np.ndarray, "layers heads t"], content: Int[np.ndarray, "c"], marks: Int[np.ndarray, "m"]
) -> dict[str, Float[np.ndarray, "layers heads"]]:
    """Measures of the [EOS] row of attention; position 0 is [SOS], the last one [EOS] itself.

    Args:
        rows: Attention weights, each row summing to 1.
        content: Positions of the expression's tokens.
        marks: Positions of punctuation.

    Returns:
        Attention on [SOS], its lift over uniform attention (1 for uniform), shares of content words, punctuation and
        [EOS], the content share that uniform attention has, and entropy over its maximum ln T, in [0, 1].

    Raises:
        ValueError: If a weight is not finite or a row does not sum to 1.
    """
    length = rows.shape[-1]
    if not np.isfinite(rows).all() or np.abs(rows.sum(-1) - 1).max() > 1e-3:
        raise ValueError("the attention of [EOS] is not finite or does not sum to 1 over the tokens it sees")
    entropy = -(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(-1)
    return {
        "a_sos": rows[..., 0],
        "lift": rows[..., 0] * length,
        "content_share": rows[..., content].sum(-1),
        "content_uniform": np.full(rows.shape[:2], len(content) / length),
        "punct_share": rows[..., marks].sum(-1),
        "self_share": rows[..., -1],
        "entropy_norm": entropy / np.log(length),
    }
