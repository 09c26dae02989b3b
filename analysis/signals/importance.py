"""Every importance signal of one image and one expression: cheap ones, and ones that sample."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.signals.gradients import inner_layers, input_signals, layer_signals
from litelvlm.analysis.signals.targets import MAIN_TARGETS
from litelvlm.arrays import Array
from litelvlm.models.attribution import (
    TokenQuery,
    TokenTargets,
    block_groups,
    leave_one_out,
)
from litelvlm.pruning.layers.drops import middle_layers

BLOCKS = 6
ALL_HEADS, NO_LAYER = -1, -1
Key = tuple[str, str, int, int, str]
"""What tells a signal from others: name, target, layer, head, removal."""


@dataclass(frozen=True)
class Signal:
    """One importance of every visual token.

    Attributes:
        name: Kind of signal.
        values: High is important.
        target: What it is importance for; empty for attention.
        layer: Of the language model; -1 if it belongs to none.
        head: -1 for all heads together.
        removal: How a token is taken away, or the baseline that stands for its absence; empty if
            neither.
        error: Completeness error of integrated gradients; nan for others.
        reliability: Of the values, between 0 and 1; nan if it was not measured.
    """

    name: str
    values: Float[Array, "n"]
    target: str = ""
    layer: int = NO_LAYER
    head: int = ALL_HEADS
    removal: str = ""
    error: float = float("nan")
    reliability: float = float("nan")

    @property
    def key(self) -> Key:
        """What tells it from other signals."""
        return (self.name, self.target, self.layer, self.head, self.removal)

    @property
    def whole(self) -> bool:
        """Whether it belongs to no single layer or head."""
        return self.layer == NO_LAYER and self.head == ALL_HEADS


def keys_of(name: str, removal: str = "") -> tuple[Key, ...]:
    """Keys of a signal for each of ``MAIN_TARGETS``, of which a run has one."""
    return tuple((name, target, NO_LAYER, ALL_HEADS, removal) for target in MAIN_TARGETS)


ATTENTION: Key = ("attention_middle", "", NO_LAYER, ALL_HEADS, "")
REMOVAL = keys_of("leave_one_out", "drop")
RELEVANCE = keys_of("relevance")
GRADIENT = keys_of("input_x_gradient")
PREREGISTERED = (ATTENTION, *REMOVAL)
"""Keys of the two signals of H6: attention in the middle layers (10 to 20 of 32), and the loss of
the main target when a block of tokens is dropped."""


def as_array(tensor: Tensor) -> Float[Array, "..."]:
    """A float64 copy on the CPU."""
    found: Array = tensor.detach().float().cpu().numpy().astype(np.float64)
    return found


def cheap_signals(query: TokenQuery, targets: TokenTargets) -> list[Signal]:
    """Signals that cost a few passes: attention, its flow, gradients, and dropped blocks."""
    return [
        *attention_signals(query),
        *flow_signals(query, targets),
        *gradient_signals(targets),
        *block_signals(query, targets),
    ]


def attention_signals(query: TokenQuery) -> Iterator[Signal]:
    """Attention to the visual tokens: of the answer by layer and head, and of the prompt."""
    rows = as_array(query.attention_rows())
    middle = middle_layers(len(rows))
    yield Signal("attention_middle", rows[middle].mean((0, 1)))
    asked = as_array(query.attention_rows("last_prompt"))
    yield Signal("attention_prompt", asked[middle].mean((0, 1)))
    for layer, heads in enumerate(rows):
        yield Signal("attention", heads.mean(0), layer=layer)
    yield from head_signals("attention", rows)


def head_signals(
    name: str, rows: Float[Array, "layers heads n"], target: str = ""
) -> Iterator[Signal]:
    """One signal per layer and head."""
    for layer, heads in enumerate(rows):
        for head, values in enumerate(heads):
            yield Signal(name, values, target, layer, head)


def flow_signals(query: TokenQuery, targets: TokenTargets) -> Iterator[Signal]:
    """Value-weighted attention, rollout and gradient-weighted relevance, where they are read."""
    flow = query.flow(targets)
    if flow is None:
        return
    main = targets.names[targets.main]
    layers = as_array(flow.norm_layers)
    yield Signal("attention_norm_middle", layers[middle_layers(len(layers))].mean(0))
    for layer, values in enumerate(layers):
        yield Signal("attention_norm", values, layer=layer)
    yield from head_signals("attention_norm", as_array(flow.norm_rows))
    gradients = as_array(flow.gradient_rows)
    for layer, heads in enumerate(gradients):
        yield Signal("gradient_attention", heads.mean(0), main, layer)
    yield from head_signals("gradient_attention", gradients, main)
    yield Signal("rollout", as_array(flow.rollout))
    yield Signal("norm_rollout", as_array(flow.norm_rollout))
    yield Signal("relevance", as_array(flow.relevance), main)


def gradient_signals(targets: TokenTargets) -> Iterator[Signal]:
    """Gradients of every target at the visual tokens, and of the main one in inner layers."""
    for column, target in enumerate(targets.names):
        for name, values in input_signals(targets, column).items():
            yield Signal(name, values, target)
    layers, main = inner_layers(len(targets.layers)), targets.main
    for layer, values in layer_signals(targets, main, layers).items():
        yield Signal("layer_gradient_x_activation", values, targets.names[main], layer)


def blocks_of(query: TokenQuery) -> Int[Tensor, "n"]:
    """The block of each token: ``BLOCKS`` along each side, or as many as the grid is short."""
    layout = query.view.layout
    return block_groups(layout, min(BLOCKS, *layout.grid))


def block_signals(
    query: TokenQuery, targets: TokenTargets, removal: str = "drop"
) -> Iterator[Signal]:
    """Fall of every target without a block of tokens; each token carries its block's value."""
    groups = blocks_of(query).to(targets.visual.device)
    falls = as_array(leave_one_out(targets, groups, removal, query.batch_size)[groups])
    for column, target in enumerate(targets.names):
        yield Signal("leave_one_out", falls[:, column], target, removal=removal)
