"""What a text tower's [EOS] attends to and what it receives, sentence by sentence."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.text_sinks import sink_kind, sos_ranks
from litelvlm.arrays import Array
from litelvlm.clip.probes.text import TextFlow, rollout, text_flow, trace_text
from litelvlm.clip.tower import Tower

TRUNCATED = "text longer than the text tower reads"
SPLIT_WORDS = "the expression's tokens do not stand together in the question"
NO_TOKENS = "the text tower's tokeniser leaves nothing of the expression"
SHARES = (
    "a_sos",
    "lift",
    "content_share",
    "content_uniform",
    "punct_share",
    "punct_uniform",
    "self_share",
    "entropy_norm",
)
MEASURES = (
    *SHARES,
    *(
        "alpha1",
        "alpha1_excess",
        "alpha1_free",
        "sink_eps",
        "norm_share",
        "norm_content",
        "norm_punct",
        "norm_self",
    ),
    *("v_sos_ratio", "rollout_sos", "rollout_norm_sos", "rollout_uniform"),
    *("sink_noop", "sink_broadcast", "sos_rank"),
)
MEAN_HEAD = -1
EPS = 0.3
"""Mean attention from which Gu et al. call a position a sink, at 64 tokens."""


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
    rolled, ranks = _rollouts(flow), np.array(sos_ranks(trace))
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
        try:
            measured = _measure(flow, rolled, number, length, content, marks)
        except ValueError as error:
            raise ValueError(f"{wording.sentence!r}: {error}") from error
        measured.together["sos_rank"] = ranks
        found.append(
            _rows(measured, wording, dict(tags) | {"text_mode": wording.mode, "n_tokens": length})
        )
    return found


class AttentionMeasures(NamedTuple):
    """Measures of one sentence.

    Attributes:
        heads: By measure, [layers, heads], of the [EOS] row.
        together: By measure, [layers]: what differs from the mean over heads, or exists for whole
            layers alone.
        everywhere: By measure, [layers, heads], mean over the rows of all positions but the first.
    """

    heads: dict[str, Float[Array, "layers heads"]]
    together: dict[str, Float[Array, "layers"]]
    everywhere: dict[str, Float[Array, "layers heads"]]


def _rows(measured: AttentionMeasures, wording: Wording, tags: Row) -> list[Row]:
    rows = []
    for layer in range(len(measured.together["rollout_sos"])):
        here = tags | {"layer": layer}
        means = {name: float(values[layer].mean()) for name, values in measured.heads.items()}
        means |= {name: float(values[layer]) for name, values in measured.together.items()}
        rows.append(here | {"head": MEAN_HEAD, "query": "eos"} | means)
        if wording.heads:
            means = {
                name: float(values[layer].mean()) for name, values in measured.everywhere.items()
            }
            rows.append(here | {"head": MEAN_HEAD, "query": "all"} | means)
            rows += [
                here
                | {"head": head, "query": "eos"}
                | {name: float(v[layer, head]) for name, v in measured.heads.items()}
                for head in range(measured.heads["a_sos"].shape[1])
            ]
    return rows


def _rollouts(flow: TextFlow) -> dict[str, Float[torch.Tensor, "layers t l l"]]:
    """Rollouts of plain attention, of what is carried, and of uniform causal attention."""
    carried = flow.carried_together / flow.carried_together.sum(-1, keepdim=True)
    uniform = torch.tril(torch.ones_like(flow.carried_together))
    return {
        "rollout_sos": rollout(flow.weights.mean(2)),
        "rollout_norm_sos": rollout(carried),
        "rollout_uniform": rollout(uniform / uniform.sum(-1, keepdim=True)),
    }


def _measure(
    flow: TextFlow,
    rolled: Mapping[str, Float[torch.Tensor, "layers t l l"]],
    number: int,
    length: int,
    content: Int[Array, "c"],
    marks: Int[Array, "m"],
) -> AttentionMeasures:
    maps, carried = (
        kind[:, number, :, :length, :length].cpu().numpy().astype(np.float64)
        for kind in (flow.weights, flow.carried)
    )
    together = (
        flow.carried_together[:, number, length - 1, :length].cpu().numpy().astype(np.float64)
    )
    heads = attention_measures(maps[:, :, -1], content, marks) | column_mass(maps)
    heads |= carried_shares(carried[:, :, -1], content, marks)
    norms = flow.value_norms[:, number, :, :length].cpu().numpy().astype(np.float64)
    heads["v_sos_ratio"] = norms[..., 0] / np.median(norms[..., content], axis=-1)
    whole = carried_shares(together, content, marks)
    norms = flow.value_norms_together[:, number, :length].cpu().numpy().astype(np.float64)
    whole["v_sos_ratio"] = norms[:, 0] / np.median(norms[:, content], axis=-1)
    heads |= sink_kind(heads["lift"], heads["v_sos_ratio"])
    whole |= sink_kind(heads["lift"].mean(1), whole["v_sos_ratio"])
    whole |= {
        name: values[:, number, length - 1, 0].cpu().numpy() for name, values in rolled.items()
    }
    return AttentionMeasures(heads, whole, everywhere_measures(maps, content, marks))


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
        content: Positions of the expression's tokens; those beyond the row are not seen.
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
    content, marks = content[content < length], marks[marks < length]
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


def everywhere_measures(
    maps: Float[Array, "layers heads t t"], content: Int[Array, "c"], marks: Int[Array, "m"]
) -> dict[str, Float[Array, "layers heads"]]:
    """The same measures, mean over all positions but the first, which sees itself alone."""
    rows = [
        attention_measures(maps[:, :, i, : i + 1], content, marks) for i in range(1, maps.shape[-1])
    ]
    return {name: np.mean([row[name] for row in rows], axis=0) for name in SHARES}


def column_mass(maps: Float[Array, "layers heads t t"]) -> dict[str, Float[Array, "layers heads"]]:
    """Mean attention that [SOS] gets from all positions, alpha_1; uniform attention makes it large.

    Returns:
        "alpha1"; "alpha1_excess", over uniform attention's H_T / T; "alpha1_free", without the
        first position, whose attention is 1 by force (uniform attention has (H_T - 1) / (T - 1)
        there); and "sink_eps", whether alpha_1 is above 0.3, which short texts are whatever the
        model does.

    Source: Gu et al. (arXiv 2410.10781), official code.
    """
    column = maps[..., 0]
    alpha = column.mean(-1)
    return {
        "alpha1": alpha,
        "alpha1_excess": alpha - uniform_alpha(maps.shape[-1]),
        "alpha1_free": column[..., 1:].mean(-1),
        "sink_eps": (alpha > EPS).astype(np.float64),
    }


def uniform_alpha(length: int) -> float:
    """Mean attention on the first of T positions under uniform causal attention: H_T / T.

    Example:
        >>> [round(uniform_alpha(n), 2) for n in (6, 9, 15)]
        [0.41, 0.31, 0.22]
    """
    return float((1 / np.arange(1, length + 1)).sum() / length)


def carried_shares(
    norms: Float[Array, "*rows t"], content: Int[Array, "c"], marks: Int[Array, "m"]
) -> dict[str, Float[Array, "*rows"]]:
    """Shares of what a position receives, by norm: from [SOS], content, punctuation and itself."""
    total = norms.sum(-1)
    parts = {"norm_share": norms[..., 0], "norm_self": norms[..., -1]}
    parts |= {"norm_content": norms[..., content].sum(-1), "norm_punct": norms[..., marks].sum(-1)}
    return {name: np.asarray(part / total) for name, part in parts.items()}
