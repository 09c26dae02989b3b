"""How importance flows through LLaMA's attention: value-weighted rows, rollout, relevance.

The backward pass goes layer by layer from the top. Each layer is computed again from the states
that enter it, so only one layer's maps are in memory at a time. Full attention maps of a 7B model
then fit beside its weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from litelvlm.models.attribution import Flow, frozen
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets
from litelvlm.models.glamm.language import llama as llama_loop
from litelvlm.models.glamm.language.llama import causal_mask, run_layer


class LayerMaps(NamedTuple):
    """One layer of the unpruned pass.

    Attributes:
        layer: Its index.
        states: States that enter it.
        gradient: Of the target with respect to them.
        attention: Softmax weights of every row.
        attention_gradient: Of the target with respect to the weights.
        value_gram: For each key j, products ``f_h(x_j) . f_g(x_j)`` of the heads' transformed
            values.
    """

    layer: int
    states: Float[Tensor, "s d"]
    gradient: Float[Tensor, "s d"]
    attention: Float[Tensor, "heads s s"]
    attention_gradient: Float[Tensor, "heads s s"]
    value_gram: Float[Tensor, "s heads heads"]


def attention_flow(targets: Targets) -> Flow:
    """Every signal from the attention maps of one pass and the gradients of the soft Dice.

    Args:
        targets: Image, conversation and model; the model is left as found.

    Source: norm-weighted attention Kobayashi et al. 2020, section 3; rollout Abnar and Zuidema
        2020, equation 1; relevance Chefer et al. 2021 (ICCV), equations 5 and 6.
    """
    length, queries = len(targets.embeds), list(targets.seg)
    image = slice(targets.start, targets.start + targets.n_tokens)
    start = torch.zeros(length, device=targets.embeds.device)
    start[queries] = 1 / len(queries)
    rollout, norm_rollout, relevance = start, start, start
    rows, layers, gradients = [], [], []
    for maps in reverse_sweep(targets, TARGETS.index("soft_dice")):
        attention, gradient = maps.attention.float(), maps.attention_gradient.float()
        weighted = weighted_norms(attention, maps.value_gram)
        # Multiplying the query's row from the top down never forms a matrix of the whole flow.
        rollout = rolled(rollout, attention.mean(0))
        norm_rollout = rolled(norm_rollout, weighted / weighted.sum(1, keepdim=True))
        helpful = (gradient * attention).relu()
        relevance = relevance + relevance @ helpful.mean(0)
        sizes = maps.value_gram.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt().T
        rows.append((attention[:, queries].mean(1) * sizes)[:, image])
        layers.append(weighted[queries].mean(0)[image])
        gradients.append(helpful[:, queries].mean(1)[:, image])
    norm_rows, norm_layers, gradient_rows = (
        torch.stack(found[::-1]) for found in (rows, layers, gradients)
    )
    flow = (found[image] for found in (rollout, norm_rollout, relevance))
    return Flow(norm_rows, norm_layers, gradient_rows, *flow)


def rolled(row: Float[Tensor, "s"], attention: Float[Tensor, "s s"]) -> Float[Tensor, "s"]:
    """One step of rollout on the query's row: ``row (A + I) / 2``."""
    return (row @ attention + row) / 2


def weighted_norms(
    attention: Float[Tensor, "heads s s"], value_gram: Float[Tensor, "s heads heads"]
) -> Float[Tensor, "s s"]:
    """Norm of what each row takes from each key: ``|sum_h A_ij f_h(x_j)|``."""
    squared = torch.einsum("hij,jhg,gij->ij", attention, value_gram, attention)
    return squared.clamp(min=0).sqrt()


def reverse_sweep(targets: Targets, column: int) -> Iterator[LayerMaps]:
    """Maps and gradients of each layer from the top to the bottom, one layer at a time.

    Args:
        targets: Image, conversation and model.
        column: Index in ``TARGETS`` of the target whose gradients are taken.
    """
    llama = targets.model.llama
    entering: list[Tensor] = []

    def record(index: int, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        entering.append(hidden_states.detach())
        return hidden_states, position_ids

    positions = torch.arange(len(targets.embeds), device=targets.embeds.device)[None]
    with frozen(targets.model), torch.no_grad():
        llama_loop.decode(llama, targets.embeds[None], positions, before_layer=record)
        rotary = llama.model.rotary_emb(targets.embeds[None], position_ids=positions)
    after: Tensor | None = None  # gradient with respect to what leaves the layer
    for index in range(len(entering) - 1, -1, -1):
        states, layer = entering[index].clone().requires_grad_(True), llama.model.layers[index]
        mask = causal_mask(len(targets.embeds), states.dtype, states.device)
        with frozen(targets.model):
            with attention_weights(llama, layer) as found:
                left = run_layer(layer, states, mask, positions, rotary)
            (attention,) = found
            if after is None:
                value = targets.of_states(llama.model.norm(left)[:, list(targets.seg)])[0, column]
                before, weights = torch.autograd.grad(value, (states, attention))
            else:
                before, weights = torch.autograd.grad(left, (states, attention), after)
        gram = value_gram(layer, states.detach()[0])
        yield LayerMaps(
            index, states.detach()[0], before[0], attention.detach()[0], weights[0], gram
        )
        after = before


@torch.no_grad()
def value_gram(
    layer: LlamaDecoderLayer, states: Float[Tensor, "s d"]
) -> Float[Tensor, "s heads heads"]:
    """Products of the heads' transformed values ``f_h(x) = W_o^h W_v^h x``, float32."""
    attention = layer.self_attn
    values = attention.v_proj(layer.input_layernorm(states)).unflatten(-1, (-1, attention.head_dim))
    values = values.repeat_interleave(attention.num_key_value_groups, dim=1).float()
    output = attention.o_proj.weight.float().unflatten(1, (-1, attention.head_dim))
    grams = []
    for part in values.split(64):  # [64, heads, d] at a time
        moved = torch.einsum("she,dhe->shd", part, output)
        grams.append(moved @ moved.mT)
    return torch.cat(grams)


@contextmanager
def attention_weights(llama: LlamaForCausalLM, layer: LlamaDecoderLayer) -> Iterator[list[Tensor]]:
    """Collect the attention weights of one layer, which uses the eager kernel meanwhile."""
    config = llama.model.config
    found: list[Tensor] = []
    before = config._attn_implementation
    hook = layer.self_attn.register_forward_hook(lambda module, args, out: found.append(out[1]))
    try:
        config._attn_implementation = "eager"
        yield found
    finally:
        config._attn_implementation = before
        hook.remove()
