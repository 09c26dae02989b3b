"""Does a signal depend on the learned weights? Layers lose theirs from the top, one by one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.gradients import input_signals
from litelvlm.analysis.signals.importance import Signal, attention_signals, flow_signals
from litelvlm.analysis.stats.spatial import shift_p_values, shifted_correlations
from litelvlm.analysis.studies.importance.agreement import Tokens, row
from litelvlm.models.attribution import TokenQuery

REINITIALISED = "reinitialised"
STEPS = 4


@contextmanager
def reinitialised(
    layers: Sequence[nn.Module], first: int, spread: float, seed: int = 0
) -> Iterator[None]:
    """Give the layers from ``first`` to the top new random weights within the block.

    Afterwards, also on errors, the old weights are back; they wait on the CPU. Matrices are drawn
    as before training, norms are 1.

    Args:
        layers: Of the language model.
        first: Lowest layer that loses its weights.
        spread: Standard deviation of matrices.
        seed: Of the new weights.
    """
    weights = [parameter for layer in layers[first:] for parameter in layer.parameters()]
    kept = [weight.detach().to("cpu", copy=True) for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for weight in weights:
                if weight.ndim == 1:
                    weight.fill_(1.0)
                else:
                    weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
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


def checked_signals(query: TokenQuery) -> list[Signal]:
    """The signals that are checked: attention of the middle layers, relevance, input x gradient."""
    targets = query.targets()
    found = [next(attention_signals(query))]
    found += [signal for signal in flow_signals(query, targets) if signal.name == "relevance"]
    values = input_signals(targets, targets.main)["input_x_gradient"]
    return [*found, Signal("input_x_gradient", values, targets.names[targets.main])]


def reinitialised_rows(query: TokenQuery, tokens: Tokens, seed: int) -> list[Row]:
    """Rank correlation of each signal with the same signal under fewer trained layers.

    One draw of weights favours some tokens over others in every image alike, so each image needs a
    seed of its own: only then do images say how far draws differ.
    """
    rows = []
    trained = checked_signals(query)
    for first in cascade(len(query.layers)):
        with reinitialised(query.layers, first, query.initializer_range, seed):
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
