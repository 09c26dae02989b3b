"""Several budgets in one call or in one each: ``python benchmarks/padded_budgets.py``.

The miniature's language model reads prompts of 48, 32 and 16 visual tokens and 20 others, on one
thread, in four ways: a batch of one budget after the other; all in one batch, padded on the left
to the longest; all in one row without padding, where a mask of blocks keeps the prompts apart and
positions start anew with each; and likewise in rows that have one prompt of each budget. All ways
read the same prompts, and their last states agree.
Processor time of rounds in which the ways take turns in random order. Stored beside it is how many
expressions the images of the bundled data have: a sweep of one method at several budgets has that
many prompts of each budget.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from time import process_time

import numpy as np
import torch
from common import no_options, spread, store
from torch import Tensor
from torch.nn.functional import pad

from litelvlm import load_model, load_refer

BUDGETS, OTHER, ROUNDS, WARM_UP = (48, 32, 16), 20, 61, 5
SIZES = (1, 2, 4, 8)
Model = Callable[..., object]


def states(model: Model, **inputs: Tensor) -> Tensor:
    """Last hidden states of one call."""
    found: Tensor = model(use_cache=False, **inputs).last_hidden_state  # type: ignore[attr-defined]
    return found


def alone(model: Model, batches: Sequence[Tensor]) -> list[Tensor]:
    """A call for each budget."""
    return [
        states(model, inputs_embeds=prompts, attention_mask=torch.ones(prompts.shape[:2]).long())
        for prompts in batches
    ]


def joined(batches: Sequence[Tensor]) -> dict[str, Tensor]:
    """All prompts padded on the left to the longest."""
    longest = max(prompts.shape[1] for prompts in batches)
    short = [longest - prompts.shape[1] for prompts in batches]
    pairs = list(zip(batches, short, strict=True))
    return {
        "inputs_embeds": torch.cat([pad(prompts, (0, 0, more, 0)) for prompts, more in pairs]),
        "attention_mask": torch.cat(
            [pad(torch.ones(prompts.shape[:2]).long(), (more, 0)) for prompts, more in pairs]
        ),
    }


def padded(model: Model, batches: Sequence[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    """One call of ``joined``, its padding cut off."""
    found = states(model, **inputs).split([len(prompts) for prompts in batches])
    return [s[:, -prompts.shape[1] :] for s, prompts in zip(found, batches, strict=True)]


def packed_row(batches: Sequence[Tensor]) -> dict[str, Tensor]:
    """All prompts in one row: a causal block for each, and positions that start anew."""
    lengths = [prompts.shape[1] for prompts in batches for _ in prompts]
    blocks = [torch.ones(length, length).tril() for length in lengths]
    seen = torch.block_diag(*blocks).bool()
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return {
        "inputs_embeds": torch.cat([prompts.flatten(0, 1) for prompts in batches])[None],
        "attention_mask": mask[None, None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
    }


def packed_rows(batches: Sequence[Tensor]) -> dict[str, Tensor]:
    """As many rows as prompts of one budget, with a prompt of each budget in each."""
    inputs = packed_row([prompts[:1] for prompts in batches])
    return {**inputs, "inputs_embeds": torch.cat(list(batches), dim=1)}


def in_rows(model: Model, batches: Sequence[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    """One call of ``packed_rows``, its rows cut into prompts."""
    return list(states(model, **inputs).split([prompts.shape[1] for prompts in batches], dim=1))


def packed(model: Model, batches: Sequence[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    """One call of ``packed_row``, the row cut into prompts."""
    sizes = [prompts.shape[0] * prompts.shape[1] for prompts in batches]
    found = states(model, **inputs)[0].split(sizes)
    return [s.unflatten(0, p.shape[:2]) for s, p in zip(found, batches, strict=True)]


def seconds(way: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = process_time()
    way()
    return process_time() - start


def expressions_per_image() -> dict[str, float]:
    """Mean, and the share of images with one or two, in val of the bundled data."""
    data = load_refer("embedded", split="val")
    counts = np.array([len(sample.expressions) for sample in data])
    return {"mean": float(counts.mean()), "one_or_two": float((counts <= 2).mean())}


@torch.inference_mode()
def main() -> None:
    """Time the ways for batches of 1, 2, 4 and 8 prompts of each budget."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    llama = load_model("embedded").llama.model
    found = {}
    for size in SIZES:
        batches = [torch.randn(size, kept + OTHER, llama.config.hidden_size) for kept in BUDGETS]
        ways: dict[str, Callable[[], list[Tensor]]] = {
            "alone": partial(alone, llama, batches),
            "padded": partial(padded, llama, batches, joined(batches)),
            "packed in one row": partial(packed, llama, batches, packed_row(batches)),
            "packed in rows": partial(in_rows, llama, batches, packed_rows(batches)),
        }
        expected = ways["alone"]()
        apart = {
            name: max(float((a - b).abs().max()) for a, b in zip(way(), expected, strict=True))
            for name, way in ways.items()
            if name != "alone"
        }
        order = random.Random(size)
        rounds = [
            {name: seconds(ways[name]) for name in order.sample(list(ways), len(ways))}
            for _ in range(ROUNDS + WARM_UP)
        ][WARM_UP:]
        times = {name: np.array([took[name] for took in rounds]) for name in ways}
        found[str(size)] = {
            "milliseconds": {name: float(1e3 * np.median(t)) for name, t in times.items()},
            "over_alone": {name: spread(list(times[name] / times["alone"])) for name in apart},
            "largest_difference": apart,
        }
    longest, rows = max(BUDGETS) + OTHER, sum(BUDGETS) + len(BUDGETS) * OTHER
    store(
        "padded_budgets",
        {
            "padded_rows": len(BUDGETS) * longest / rows,
            "by_batch": found,
            "expressions_per_image": expressions_per_image(),
        },
    )


if __name__ == "__main__":
    no_options(__doc__)
    main()
