"""Greedy decoding of one answer with a key-value cache, until a stop token or a limit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Real
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from litelvlm.models.glamm.language.llama import BeforeLayer, decode


@dataclass(frozen=True)
class Reply:
    """A generated answer, token by token.

    Attributes:
        ids: Tokens in order. The last one is the stop token, unless the limit came first.
        states: State (after the final norm) that predicted each token.
        own_states: State of each token itself, as far as tokens were fed back.
    """

    ids: tuple[int, ...]
    states: Float[Tensor, "n d"]
    own_states: Float[Tensor, "m d"]


def greedy(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "1 s d"],
    position_ids: Real[Tensor, "1 s"],
    stop: Callable[[int], bool],
    limit: int,
    before_layer: BeforeLayer | None = None,
    feed_last: bool = False,
) -> Reply:
    """Generate the most probable token again and again; of equal ones the lowest id.

    Args:
        llama: The language model.
        inputs_embeds: The prompt.
        position_ids: Rotary position of every token; the answer continues from the last one.
        stop: Whether a token ends the answer.
        limit: Tokens at most, 1 or more.
        before_layer: May drop tokens of the prompt between layers. In each layer the answer then
            continues from the last position there.
        feed_last: Run the last token too, so that its own state is known.
    """
    cache = DynamicCache()
    last: list[float] = []

    def prompt(index: int, states: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        if before_layer is not None:
            states, positions = before_layer(index, states, positions)
        last.append(positions[0, -1].item())
        return states, positions

    ids: list[int] = []
    own: list[Tensor] = []
    state = decode(llama, inputs_embeds, position_ids, before_layer=prompt, cache=cache)[:, -1]
    predicting = [state]
    while True:
        logits = llama.lm_head(state)[0]
        ids.append(int((logits == logits.max()).nonzero()[0]))
        ended = len(ids) == limit or stop(ids[-1])
        if ended and not feed_last:
            break
        embeds = llama.model.embed_tokens(torch.tensor([ids[-1:]], device=inputs_embeds.device))
        places = [torch.full_like(position_ids[:, :1], position) + len(ids) for position in last]

        def follow(
            index: int, states: Tensor, _: Tensor, places: list[Tensor] = places
        ) -> tuple[Tensor, Tensor]:
            return states, places[index]

        state = decode(llama, embeds, places[0], before_layer=follow, cache=cache)[:, -1]
        own.append(state)
        if ended:
            break
        predicting.append(state)
    return Reply(tuple(ids), torch.cat(predicting), torch.cat(own) if own else state[:0])
