"""Phi-3 over a prompt with visual tokens: given answers in one pass, others with a cache."""

from collections.abc import Callable
from copy import deepcopy
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, Phi3ForCausalLM


class Generated(NamedTuple):
    """What greedy decoding gave.

    Attributes:
        ids: Tokens in their order.
        states: State (after the final norm) that predicted each.
    """

    ids: tuple[int, ...]
    states: Float[Tensor, "n e"]


def with_window(phi3: Phi3ForCausalLM, window: int | None) -> Phi3ForCausalLM:
    """The same language model with another window of attention; both share every tensor.

    Args:
        phi3: The language model, which does not change.
        window: Tokens that a token sees, itself included; None for all.
    """
    config = deepcopy(phi3.config)
    config.sliding_window = window
    shared = {id(tensor): tensor for tensor in chain(phi3.parameters(), phi3.buffers())}
    return deepcopy(phi3, {**shared, id(phi3.config): config})


def read_prompt(
    phi3: Phi3ForCausalLM,
    embeds: Float[Tensor, "s e"],
    positions: Int[Tensor, "s"],
    cache: DynamicCache | None = None,
) -> Float[Tensor, "s e"]:
    """States after the final norm.

    Args:
        phi3: The language model; its head is not used.
        embeds: Text and visual tokens.
        positions: Rotary position of every token; gaps are legal.
        cache: Keys and values of earlier tokens; those of these tokens are added.
    """
    known = 0 if cache is None else cache.get_seq_length()
    # Without a mask the library takes a gap in the positions for the start of another text.
    seen = torch.ones(1, known + len(embeds), dtype=torch.long, device=embeds.device)
    out = phi3.model(
        inputs_embeds=embeds[None],
        position_ids=positions[None],
        attention_mask=seen,
        past_key_values=cache,
        use_cache=cache is not None,
    )
    states: Tensor = out.last_hidden_state[0]
    return states


def generate(
    phi3: Phi3ForCausalLM,
    embeds: Float[Tensor, "s e"],
    positions: Int[Tensor, "s"],
    stop: Callable[[int], bool],
    limit: int,
) -> Generated:
    """Generate the most probable token again and again; of equal ones the lowest id.

    The prompt is read once. Each further token costs one row.

    Args:
        phi3: The language model.
        embeds: The prompt.
        positions: Rotary position of every token; the answer continues from the last one.
        stop: Whether a token ends the answer; it is not asked of the last one that fits.
        limit: Tokens at most, 1 or more.
    """
    cache, ids = DynamicCache(), list[int]()
    states = [read_prompt(phi3, embeds, positions, cache)[-1]]
    while True:
        logits = phi3.lm_head(states[-1])
        ids.append(int((logits == logits.max()).nonzero()[0]))
        if len(ids) == limit or stop(ids[-1]):
            return Generated(tuple(ids), torch.stack(states))
        token = phi3.model.embed_tokens(torch.tensor(ids[-1:], device=embeds.device))
        states.append(read_prompt(phi3, token, positions[-1:] + len(ids), cache)[0])
