"""Prefill and decoding of the language model in three ways: eager, fused, compiled.

``python benchmarks/gpu/compiled.py --model glamm-7b --random-init --device cuda``. The weights are
shared, and the ways take turns in random order. "compiled" is ``torch.compile`` of the fused way,
on a GPU with CUDA graphs: a budget fixes every shape, so one graph serves all pictures. Decoding
writes into a cache of fixed size there, and into a growing one elsewhere. The first calls of a
shape, which compile, are not timed.
"""

import argparse
import random
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from transformers import DynamicCache, LlamaForCausalLM, StaticCache

from benchmarks.common import Kept, spread, store, timing_parser
from litelvlm import load_model

TEXT = 64
"""Text tokens around the visual ones."""
WAYS = ("eager", "fused", "compiled")


def ready(llama: LlamaForCausalLM, way: str, device: str, backend: str) -> Callable[..., Any]:
    """The language model's forward in one way, on the same weights."""
    if way != "compiled":
        return llama.forward
    mode = "reduce-overhead" if device == "cuda" else None
    compiled: Callable[..., Any] = torch.compile(
        llama.forward, backend=backend, mode=mode, dynamic=False
    )
    return compiled


def timed(call: Callable[[], object], device: str) -> float:
    """Milliseconds: of CUDA events on a GPU, of the wall clock elsewhere."""
    if device != "cuda":
        start = perf_counter()
        call()
        return 1e3 * (perf_counter() - start)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end))


def prefill(
    llama: LlamaForCausalLM, forward: Callable[..., Any], way: str, states: torch.Tensor
) -> None:
    """One pass over the whole prompt; logits of the last token alone."""
    llama.set_attn_implementation("eager" if way == "eager" else "sdpa")
    forward(inputs_embeds=states, use_cache=False, logits_to_keep=1)


def decode(
    llama: LlamaForCausalLM,
    forward: Callable[..., Any],
    way: str,
    states: torch.Tensor,
    tokens: int,
    device: str,
) -> float:
    """Milliseconds per token behind the prompt."""
    llama.set_attn_implementation("eager" if way == "eager" else "sdpa")
    length = states.shape[1]
    fixed = way == "compiled"
    cache = (
        StaticCache(config=llama.config, max_cache_len=length + tokens + 1)
        if fixed
        else DynamicCache(config=llama.config)
    )
    llama.forward(inputs_embeds=states, past_key_values=cache, use_cache=True, logits_to_keep=1)
    step = states[:, -1:]

    def answer() -> None:
        for number in range(tokens):
            place = torch.tensor([[length + number]], device=states.device)
            forward(inputs_embeds=step, past_key_values=cache, use_cache=True, position_ids=place)

    return timed(answer, device) / tokens


@torch.inference_mode()
def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Times by budget and way."""
    model = load_model(given.model, device=given.device, random_init=given.random_init)
    llama, n = model.llama, model.n_tokens
    forwards = {way: ready(llama, way, given.device, given.backend) for way in WAYS}
    kept = Kept("compiled")

    def times_of(budget: int) -> dict[str, Any]:
        order = random.Random(budget)
        torch.manual_seed(budget)
        size = llama.config.hidden_size
        states = torch.randn(1, TEXT + budget, size, device=given.device, dtype=llama.dtype)
        times: dict[str, dict[str, list[float]]] = {
            way: {"prefill": [], "decode": []} for way in WAYS
        }
        for number in range(-given.warm_up, given.rounds):
            for way in order.sample(WAYS, len(WAYS)):
                call = partial(prefill, llama, forwards[way], way, states)
                took = timed(call, given.device)
                step = decode(llama, forwards[way], way, states, given.tokens, given.device)
                if number >= 0:
                    times[way]["prefill"].append(took)
                    times[way]["decode"].append(step)
        return {
            way: {part: spread(values) for part, values in parts.items()}
            for way, parts in times.items()
        }

    return {
        str(budget): kept(str(budget), partial(times_of, budget)) for budget in (n, *given.budgets)
    }


def main() -> None:
    """Command line."""
    parser = timing_parser(__doc__, rounds=30)
    parser.add_argument("--tokens", type=int, default=16, help="decoded behind each prompt")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    given = parser.parse_args()
    numbers = {"model": given.model, "text_tokens": TEXT, "milliseconds": measure(given)}
    store("compiled", numbers)


if __name__ == "__main__":
    main()
