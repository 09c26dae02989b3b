"""What a text tower's [EOS] attends to and what it receives, sentence by sentence."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.clip.probes.text import TextFlow, TextTrace, eos_attention, text_flow, trace_text
from litelvlm.clip.tower import Tower

TRUNCATED = "text longer than the text tower reads"
SPLIT_WORDS = "the expression's tokens do not stand together in the question"
NO_TOKENS = "the text tower's tokeniser leaves nothing of the expression"
MEASURES = (
    "a_sos",
    "lift",
    "content_share",
    "content_uniform",
    "punct_share",
    "punct_uniform",
    "self_share",
    "entropy_norm",
    "norm_share",
    "norm_content",
    "norm_punct",
    "norm_self",
)
MEAN_HEAD = -1


class UnusableTextError(Exception):
    """A text that cannot be measured, with the reason."""


class Wording(NamedTuple):
    """One sentence of an expression.

    Attributes:
        mode: Name of the wording.
        sentence: What the text tower reads.
        expression: The expression inside it.
        heads: Whether rows of single heads are kept beside their mean.
    """

    mode: str
    sentence: str
    expression: str
    heads: bool


def permuted(text: str, rng: np.random.Generator) -> str:
    """The words in another order (the same if there is only one)."""
    words = text.split()
    return " ".join(words[i] for i in rng.permutation(len(words)))


@torch.inference_mode()
def text_rows(
    tower: Tower,
    wordings: Sequence[Wording],
    punctuation: frozenset[int],
    tags: Mapping[str, object],
) -> list[list[Row] | str]:
    """Rows of several sentences, read in one pass.

    Args:
        tower: Whose text side is read.
        wordings: The sentences.
        punctuation: Token ids of punctuation marks.
        tags: Columns that all rows share, such as the name of the weights.

    Returns:
        For each sentence its rows, or the reason why it cannot be measured.

    Raises:
        ValueError: If the tower's attention is not finite, with the sentence.
    """
    trace = trace_text(tower, [wording.sentence for wording in wordings])
    text, flow = trace.text, text_flow(trace)
    ids, last = text.input_ids.tolist(), text.eos_index.tolist()
    inner, inner_mask, _ = tower.tokenize([wording.expression for wording in wordings])
    found: list[list[Row] | str] = []
    for number, wording in enumerate(wordings):
        own, length = ids[number], last[number] + 1
        try:
            if text.truncated[number]:
                raise UnusableTextError(TRUNCATED)
            expression = inner[number, 1 : int(inner_mask[number].sum()) - 1].tolist()
            content = content_positions(own[:length], expression)
        except UnusableTextError as reason:
            found.append(str(reason))
            continue
        marks = np.array(
            [place for place in range(length) if own[place] in punctuation], dtype=np.int64
        )
        own_tags = dict(tags) | {"text_mode": wording.mode, "n_tokens": length}
        try:
            found.append(_rows(flow, number, last[number], content, marks, wording, own_tags))
        except ValueError as error:
            raise ValueError(f"{wording.sentence!r}: {error}") from error
    return found


def _rows(
    flow: TextFlow,
    number: int,
    last: int,
    content: Int[Array, "c"],
    marks: Int[Array, "m"],
    wording: Wording,
    tags: Row,
) -> list[Row]:
    """Rows of the [EOS] of one sentence: of each layer the mean over heads, and single heads."""
    weights, carried, together = (
        part.cpu().numpy().astype(np.float64)
        for part in (
            flow.weights[:, number, :, last, : last + 1],
            flow.carried[:, number, :, last, : last + 1],
            flow.carried_together[:, number, last, : last + 1],
        )
    )
    heads = attention_measures(weights, content, marks) | carried_shares(carried, content, marks)
    # What heads carry together is not the mean of what each carries.
    whole = carried_shares(together, content, marks)
    rows = []
    for layer in range(len(weights)):
        here = tags | {"layer": layer, "query": "eos"}
        means = {name: float(values[layer].mean()) for name, values in heads.items()}
        means |= {name: float(values[layer]) for name, values in whole.items()}
        rows.append(here | {"head": MEAN_HEAD} | means)
        if wording.heads:
            rows += [
                here | {"head": head} | {name: float(v[layer, head]) for name, v in heads.items()}
                for head in range(weights.shape[1])
            ]
    return rows


def content_positions(sentence: Sequence[int], expression: Sequence[int]) -> Int[Array, "c"]:
    """Positions of the expression's tokens in the sentence's (the first ones, if several).

    Raises:
        UnusableTextError: If there are none, or they do not stand together.
    """
    n = len(expression)
    if not n:
        raise UnusableTextError(NO_TOKENS)
    for start in range(1, len(sentence) - n + 1):
        if list(sentence[start : start + n]) == list(expression):
            return np.arange(start, start + n)
    raise UnusableTextError(SPLIT_WORDS)


def attention_measures(
    rows: Float[Array, "layers heads t"], content: Int[Array, "c"], marks: Int[Array, "m"]
) -> dict[str, Float[Array, "layers heads"]]:
    """Measures of the attention of one position; 0 is [SOS], the last one the position itself.

    Args:
        rows: Attention weights, each row summing to 1.
        content: Positions of the expression's tokens.
        marks: Positions of punctuation.

    Returns:
        Attention on [SOS], its lift over uniform attention (1 for uniform), shares of content
        words, punctuation and the position itself, the shares of content words and punctuation
        that uniform attention has, and entropy over its maximum ln T, in [0, 1].

    Raises:
        ValueError: If a weight is not finite or a row does not sum to 1.
    """
    length = rows.shape[-1]
    if not np.isfinite(rows).all() or np.abs(rows.sum(-1) - 1).max() > 1e-3:
        raise ValueError(
            "the attention of a position is not finite or does not sum to 1 over the tokens it sees"
        )
    entropy = -(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(-1)
    return {
        "a_sos": rows[..., 0],
        "lift": rows[..., 0] * length,
        "content_share": rows[..., content].sum(-1),
        "content_uniform": np.full(rows.shape[:2], len(content) / length),
        "punct_share": rows[..., marks].sum(-1),
        "punct_uniform": np.full(rows.shape[:2], len(marks) / length),
        "self_share": rows[..., -1],
        "entropy_norm": entropy / np.log(length),
    }


def carried_shares(
    norms: Float[Array, "*rows t"], content: Int[Array, "c"], marks: Int[Array, "m"]
) -> dict[str, Float[Array, "*rows"]]:
    """Shares of what a position receives, by norm: from [SOS], content, punctuation and itself."""
    total = norms.sum(-1)
    parts = {"norm_share": norms[..., 0], "norm_self": norms[..., -1]}
    parts |= {"norm_content": norms[..., content].sum(-1), "norm_punct": norms[..., marks].sum(-1)}
    return {name: np.asarray(part / total) for name, part in parts.items()}


def sos_ranks(trace: TextTrace) -> list[float]:
    """Effective rank of what [SOS] gives to [EOS] of each text, by layer.

    It is the participation ratio of the squared singular values, not centred.
    """
    n_heads = trace.tower.n_text_heads
    weights = eos_attention(trace)[..., 0]
    found = []
    for layer, (block, states) in enumerate(
        zip(trace.tower.text_blocks, trace.inputs, strict=True)
    ):
        values = block.qkv(states)[2].float().unflatten(-1, (n_heads, -1))
        by_head = block.output_weight.float().unflatten(-1, (n_heads, -1))
        moved = torch.einsum("the,ohe->tho", values[:, 0], by_head)
        found.append(effective_rank((weights[layer, ..., None] * moved).sum(1)))
    return found


def effective_rank(vectors: Float[Tensor, "t d"]) -> float:
    """(sum of s^2)^2 / sum of s^4 over singular values s: 1 for copies of one direction.

    It is nan if a number is not finite.

    Example:
        >>> round(effective_rank(torch.eye(3)), 6)
        3.0
    """
    if not vectors.isfinite().all():
        return float("nan")
    energy = torch.linalg.svdvals(vectors.double()).square()
    return float(energy.sum().square() / energy.square().sum().clamp_min(1e-300))
