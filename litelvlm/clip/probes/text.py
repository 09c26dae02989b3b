"""The text tower in detail: attention maps, what each weight carries, and [EOS] with one change.

Text attention is causal and the embedding is read at [EOS], the last token that counts. So every
other position's state stays what it is whatever [EOS] does, and an edited [EOS] is recomputed
alone, from the states of one plain pass. All functions are pure. Hooks exist during that pass only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.clip.attention import attention_row, capture_inputs
from litelvlm.clip.states import ClipText
from litelvlm.clip.tower import Tower

SOS_SHARE = 0.68
"""Attention of [EOS] on [SOS] that LiteLVLM reports for CLIP."""


@dataclass(frozen=True)
class TextTrace:
    """One plain pass of the text tower.

    Attributes:
        tower: The towers.
        text: Tokens, embeddings and the position of [EOS].
        inputs: States that enter each block, [T, L, D] each.
    """

    tower: Tower
    text: ClipText
    inputs: tuple[Float[Tensor, "t l d"], ...]

    @property
    def beyond(self) -> Bool[Tensor, "t l"]:
        """Positions after [EOS], which no token that counts can see."""
        positions = torch.arange(self.text.input_ids.shape[1], device=self.text.input_ids.device)
        return positions[None] > self.text.eos_index[:, None]


@dataclass(frozen=True)
class TextFlow:
    """What moves along the attention of each layer, positions of queries before those of keys.

    Attributes:
        weights: Attention weights [layers, T, heads, L, L]; rows sum to 1 over what a position
            sees.
        carried: Norm of what each weight carries, ``|A_ij f_h(x_j)|``, per head, same shape.
        carried_together: Norm of the sum over heads, ``|sum_h A_ij f_h(x_j)|`` [layers, T, L, L].
        value_norms: Norm of each position's transformed value ``|f_h(x_j)|`` [layers, T, heads, L].
        value_norms_together: The same of the sum over heads [layers, T, L].

    ``f_h(x) = W_o^h (W_v^h x + b_v^h)``; the bias of the output projection belongs to no position
    and is left out.

    Source: Kobayashi et al. (arXiv 2004.10102), section 2.
    """

    weights: Float[Tensor, "layers t h l l"]
    carried: Float[Tensor, "layers t h l l"]
    carried_together: Float[Tensor, "layers t l l"]
    value_norms: Float[Tensor, "layers t h l"]
    value_norms_together: Float[Tensor, "layers t l"]


def trace_text(tower: Tower, sentences: Sequence[str]) -> TextTrace:
    """Run the text tower once and keep what enters its blocks.

    Raises:
        ValueError: If there is no sentence, or the family's text tower is not causal.
    """
    tower.require("text_attention")
    with capture_inputs([block.module for block in tower.text_blocks]) as inputs:
        text = tower.text(sentences)
    return TextTrace(tower, text, tuple(inputs))


def text_flow(trace: TextTrace) -> TextFlow:
    """Whole attention maps of every layer and head, and what they carry, in float32."""
    n_heads, length = trace.tower.n_text_heads, trace.text.input_ids.shape[1]
    later = torch.ones(length, length, dtype=torch.bool, device=trace.beyond.device).triu(1)
    hidden = later[None] | trace.beyond[:, None]
    parts: list[list[Tensor]] = []
    for block, states in zip(trace.tower.text_blocks, trace.inputs, strict=True):
        query, keys, values = (x.float().unflatten(-1, (n_heads, -1)) for x in block.qkv(states))
        logits = torch.einsum("tqhe,tkhe->thqk", query, keys) * query.shape[-1] ** -0.5
        weights = logits.masked_fill(hidden[:, None], float("-inf")).softmax(-1)
        by_head = block.output_weight.float().unflatten(-1, (n_heads, -1))
        moved = torch.einsum("tkhe,ohe->tkho", values, by_head)
        norms = moved.norm(dim=-1).transpose(1, 2)
        together = torch.einsum("thqk,tkho->tqko", weights, moved).norm(dim=-1)
        parts.append(
            [weights, weights * norms[:, :, None], together, norms, moved.sum(2).norm(dim=-1)]
        )
    return TextFlow(*(torch.stack(kind) for kind in zip(*parts, strict=True)))


def eos_attention(trace: TextTrace) -> Float[Tensor, "layers t h l"]:
    """Attention weights of [EOS] alone, by layer and head, in float32; rows sum to 1."""
    rows = torch.arange(len(trace.text.eos_index), device=trace.beyond.device)
    found = []
    for block, states in zip(trace.tower.text_blocks, trace.inputs, strict=True):
        query, keys, _ = block.qkv(states)
        own = query[rows, trace.text.eos_index]
        found.append(attention_row(own, keys, trace.tower.n_text_heads, hidden=trace.beyond))
    return torch.stack(found)


@dataclass(frozen=True)
class Edit:
    """What is changed in the [EOS] row of attention.

    Attributes:
        masked: Keys that [EOS] may not see; the weights of the rest grow to sum to 1.
        silenced: Keys whose values count as 0; all weights stay.
        mean_sos: Whether [SOS] has its mean value over the sentences. In a causal tower [SOS] sees
            itself alone, so its value is the same for all sentences and this changes nothing: a
            check of the whole computation.
        sos_share: Least share of the attention that [SOS] gets in every head; None changes nothing.

    Raises:
        ValueError: If the share is not between 0 and 1.
    """

    masked: Bool[Tensor, "t l"] | None = None
    silenced: Bool[Tensor, "t l"] | None = None
    mean_sos: bool = False
    sos_share: float | None = None

    def __post_init__(self) -> None:
        if self.sos_share is not None and not 0 <= self.sos_share <= 1:
            raise ValueError(f"sos_share is {self.sos_share}; a share of attention is 0 to 1")


def with_sos_share(weights: Float[Tensor, "t h s"], share: float) -> Float[Tensor, "t h s"]:
    """Give [SOS], the first key, at least a share of each row; the other weights shrink alike.

    Args:
        weights: Rows that sum to 1, and the sums stay so.
        share: Least weight of the first key, from 0 to 1.
    """
    sos = weights[..., :1]
    raised = sos.clamp_min(share)
    others = (1 - raised) / (1 - sos).clamp_min(torch.finfo(weights.dtype).tiny)
    return torch.cat([raised, weights[..., 1:] * others], dim=-1)


@torch.inference_mode()
def edited_embeds(trace: TextTrace, edit: Edit, layers: Collection[int]) -> Float[Tensor, "t p"]:
    """Text embeddings with the attention of [EOS] edited in some layers.

    Without an edit they are the plain ones.

    Args:
        trace: A plain pass.
        edit: What is changed.
        layers: Layers in which it is.

    Raises:
        ValueError: If a layer does not exist, or a sentence has no key left to see.
    """
    tower, eos = trace.tower, trace.text.eos_index
    blocks = tower.text_blocks
    strange = sorted(set(layers) - set(range(len(blocks))))
    if strange:
        raise ValueError(
            f"the text tower has no layer {strange[0]}; its layers are 0 to {len(blocks) - 1}"
        )
    if edit.masked is not None and bool((edit.masked | trace.beyond).all(dim=1).any()):
        raise ValueError("every key of a sentence is masked; leave [EOS] at least one to see")
    rows = torch.arange(len(eos), device=eos.device)
    state = trace.inputs[0][rows, eos]
    for index, (block, entering) in enumerate(zip(blocks, trace.inputs, strict=True)):
        here = index in layers
        states = entering.clone()
        states[rows, eos] = state
        query, keys, values = block.qkv(states)
        masked = edit.masked if here and edit.masked is not None else torch.zeros_like(trace.beyond)
        weights = attention_row(
            query[rows, eos], keys, tower.n_text_heads, hidden=trace.beyond | masked
        )
        if here and edit.sos_share is not None:
            weights = with_sos_share(weights, edit.sos_share)
        if here and edit.silenced is not None:
            weights = weights.masked_fill(edit.silenced[:, None], 0.0)
        if here and edit.mean_sos:
            values = torch.cat(
                [values[:, :1].mean(0, keepdim=True).expand(len(values), 1, -1), values[:, 1:]],
                dim=1,
            )
        heads = values.float().unflatten(-1, (tower.n_text_heads, -1))
        mixed = torch.einsum("ths,tshe->the", weights, heads).flatten(-2).to(state.dtype)
        state = state + block.attention_output(mixed)
        state = state + block.feed_forward(state)
    return tower.project_text(state)


def texts_by_sos(trace: TextTrace) -> dict[str, Float[Tensor, "t p"]]:
    """Text embeddings with less and with more attention of [EOS] on [SOS], in every layer.

    Returns:
        "no_sos": [SOS] is hidden from [EOS]; "more_sos": it gets at least ``SOS_SHARE`` of the
        attention in every head.
    """
    sos, every = torch.zeros_like(trace.beyond), range(len(trace.inputs))
    sos[:, 0] = True
    return {
        "no_sos": edited_embeds(trace, Edit(masked=sos), every),
        "more_sos": edited_embeds(trace, Edit(sos_share=SOS_SHARE), every),
    }
