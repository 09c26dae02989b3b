"""Several budgets in one padded batch or in a batch each: ``python benchmarks/padded_budgets.py``.

The miniature's language model reads prompts of 48, 32 and 16 visual tokens and 20 others, on one
thread: a batch of one budget after the other, or all in one, padded on the left to the longest.
Both read the same prompts. Median wall time of interleaved rounds.
"""

from time import perf_counter

import numpy as np
import torch
from common import no_options, store

from litelvlm import load_model

BUDGETS, OTHER, ROUNDS, WARM_UP = (48, 32, 16), 20, 31, 3


@torch.inference_mode()
def main() -> None:
    """Time both ways for batches of 1, 2, 4 and 8 prompts of each budget."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    llama = load_model("embedded").llama.model
    width, longest = llama.config.hidden_size, max(BUDGETS) + OTHER

    def seconds(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
        start = perf_counter()
        for prompts, mask in batches:
            llama(inputs_embeds=prompts, attention_mask=mask, use_cache=False)
        return perf_counter() - start

    found = {}
    for size in (1, 2, 4, 8):
        alone = [
            (torch.randn(size, kept + OTHER, width), torch.ones(size, kept + OTHER).long())
            for kept in BUDGETS
        ]
        padded = [longest - prompts.shape[1] for prompts, _ in alone]
        joined = (
            torch.cat(
                [
                    torch.nn.functional.pad(prompts, (0, 0, more, 0))
                    for (prompts, _), more in zip(alone, padded, strict=True)
                ]
            ),
            torch.cat(
                [
                    torch.nn.functional.pad(mask, (more, 0))
                    for (_, mask), more in zip(alone, padded, strict=True)
                ]
            ),
        )
        times = [(seconds(alone), seconds([joined])) for _ in range(ROUNDS + WARM_UP)][WARM_UP:]
        found[str(size)] = {
            "alone_ms": 1e3 * float(np.median([first for first, _ in times])),
            "padded_ms": 1e3 * float(np.median([second for _, second in times])),
            "ratio": float(np.median([second / first for first, second in times])),
        }
    rows = sum(BUDGETS) + len(BUDGETS) * OTHER
    store("padded_budgets", {"rows": len(BUDGETS) * longest / rows, "by_batch": found})


if __name__ == "__main__":
    no_options(__doc__)
    main()
