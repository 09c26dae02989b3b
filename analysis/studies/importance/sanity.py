"""Does a signal depend on the learned weights? Layers lose theirs from the top, one by one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers import LlamaForCausalLM

from litelvlm.analysis.inputs.queries import Query
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.gradients import input_signals
from litelvlm.analysis.signals.importance import DICE, Signal, attention_signals, flow_signals
from litelvlm.analysis.stats.spatial import shift_p_values, shifted_correlations
from litelvlm.analysis.studies.importance.agreement import Tokens, row
from litelvlm.models.glamm.attribution.targets import TARGETS

REINITIALISED = "reinitialised"
STEPS = 4


@contextmanager
def reinitialised(llama: LlamaForCausalLM, first: int, seed: int = 0) -> Iterator[None]:
    """Give the layers from ``first`` to the top new random weights within the block.

    Afterwards, also on errors, the old weights are back; they wait on the CPU. Matrices are drawn
    as before training, norms are 1.

    Args:
        llama: The language model.
        first: Lowest layer that loses its weights.
        seed: Of the new weights.
    """
    weights = [
        parameter for layer in llama.model.layers[first:] for parameter in layer.parameters()
    ]
    kept = [weight.detach().to("cpu", copy=True) for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for weight in weights:
                if weight.ndim == 1:
                    weight.fill_(1.0)
                else:
                    drawn = (
                        torch.randn(weight.shape, generator=generator)
                        * llama.config.initializer_range
                    )
                    weight.copy_(drawn)
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, kept, strict=True):
                weight.copy_(old)


def cascade(n_layers: int) -> tuple[int, ...]:
    """Lowest reinitialised layer of each step, from the top layer alone to all of them.

    Example:
        >>> cascade(32), cascade(4)
        ((31, 24, 16, 8, 0), (3, 2, 1, 0))
    """
    return tuple(
        sorted({n_layers - 1, *(n_layers * step // STEPS for step in range(STEPS))}, reverse=True)
    )


def checked_signals(query: Query) -> list[Signal]:
    """The signals that are checked: attention of the middle layers, relevance, input x gradient."""
    targets = query.targets()
    found = [next(attention_signals(query))]
    found += [signal for signal in flow_signals(targets) if signal.name == "relevance"]
    values = input_signals(targets, DICE)["input_x_gradient"]
    return [*found, Signal("input_x_gradient", values, TARGETS[DICE])]


def reinitialised_rows(query: Query, tokens: Tokens, seed: int) -> list[Row]:
    """Rank correlation of each signal with the same signal under fewer trained layers.

    One draw of weights favours some tokens over others in every image alike, so each image needs a
    seed of its own: only then do images say how far draws differ.
    """
    rows = []
    trained = checked_signals(query)
    for first in cascade(len(query.model.llama.model.layers)):
        with reinitialised(query.model.llama, first, seed):
            again = checked_signals(query)
        for before, after in zip(trained, again, strict=True):
            moved = shifted_correlations(before.values[None], after.values[None], tokens.grid)
            rows.append(
                row(
                    "trained",
                    after,
                    "spearman",
                    float(moved[0, 0, 0, 0]),
                    chance=float(np.mean(moved[0, 0].ravel()[1:])),
                    control=REINITIALISED,
                    layer=first,
                    p_shift=float(shift_p_values(moved)[0, 0]),
                )
            )
    return rows
