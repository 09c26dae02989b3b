"""Every importance signal of one image and one expression: cheap ones, and ones that sample."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.queries import Query
from litelvlm.analysis.signals.gradients import (
    inner_layers,
    input_signals,
    layer_signals,
)
from litelvlm.arrays import Array
from litelvlm.models.glamm.attribution.importance import attention_rows, block_groups, leave_one_out
from litelvlm.models.glamm.attribution.layers import attention_flow
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets
from litelvlm.pruning.layers.depths import middle_layers

BLOCKS = 6
ALL_HEADS, NO_LAYER = -1, -1
DICE = TARGETS.index("soft_dice")


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
    def key(self) -> tuple[str, str, int, int, str]:
        """What tells it from other signals."""
        return (self.name, self.target, self.layer, self.head, self.removal)

    @property
    def whole(self) -> bool:
        """Whether it belongs to no single layer or head."""
        return self.layer == NO_LAYER and self.head == ALL_HEADS


ATTENTION = ("attention_middle", "", NO_LAYER, ALL_HEADS, "")
REMOVAL = ("leave_one_out", "soft_dice", NO_LAYER, ALL_HEADS, "drop")
RELEVANCE = ("relevance", "soft_dice", NO_LAYER, ALL_HEADS, "")
GRADIENT = ("input_x_gradient", "soft_dice", NO_LAYER, ALL_HEADS, "")
PREREGISTERED = (ATTENTION, REMOVAL)
"""Keys of the two signals of H6: attention in the middle layers (10 to 20 of 32), and the loss of
soft Dice when a block of tokens is dropped."""


def as_array(tensor: Tensor) -> Float[Array, "..."]:
    """A float64 copy on the CPU."""
    found: Array = tensor.detach().float().cpu().numpy().astype(np.float64)
    return found


def cheap_signals(query: Query, targets: Targets) -> list[Signal]:
    """Signals that cost a few passes: attention, its flow, gradients, and dropped blocks."""
    return [
        *attention_signals(query),
        *flow_signals(targets),
        *gradient_signals(targets),
        *block_signals(query, targets),
    ]


def attention_signals(query: Query) -> Iterator[Signal]:
    """Attention to the visual tokens: of the [SEG] query by layer and head, and of other tokens."""
    rows = as_array(attention_rows(query.model, query.state, query.conversation))
    middle = middle_layers(len(rows))
    yield Signal("attention_middle", rows[middle].mean((0, 1)))
    yield Signal("attention_middle_max", rows[middle].max(1).mean(0))
    for name, token in (
        ("attention_prompt", "last_prompt"),
        ("attention_expression", "last_expression"),
    ):
        others = as_array(attention_rows(query.model, query.state, query.conversation, token))
        yield Signal(name, others[middle].mean((0, 1)))
    for layer, heads in enumerate(rows):
        yield Signal("attention", heads.mean(0), layer=layer)
        yield Signal("attention_max", heads.max(0), layer=layer)
    yield from head_signals("attention", rows)


def head_signals(
    name: str, rows: Float[Array, "layers heads n"], target: str = ""
) -> Iterator[Signal]:
    """One signal per layer and head."""
    for layer, heads in enumerate(rows):
        for head, values in enumerate(heads):
            yield Signal(name, values, target, layer, head)


def flow_signals(targets: Targets) -> Iterator[Signal]:
    """Value-weighted attention, rollout and gradient-weighted relevance."""
    flow = attention_flow(targets, TARGETS[DICE])
    layers = as_array(flow.norm_layers)
    yield Signal("attention_norm_middle", layers[middle_layers(len(layers))].mean(0))
    for layer, values in enumerate(layers):
        yield Signal("attention_norm", values, layer=layer)
    yield from head_signals("attention_norm", as_array(flow.norm_rows))
    gradients = as_array(flow.gradient_rows)
    for layer, heads in enumerate(gradients):
        yield Signal("gradient_attention", heads.mean(0), TARGETS[DICE], layer)
    yield from head_signals("gradient_attention", gradients, TARGETS[DICE])
    yield Signal("rollout", as_array(flow.rollout))
    yield Signal("norm_rollout", as_array(flow.norm_rollout))
    yield Signal("relevance", as_array(flow.relevance), TARGETS[DICE])


def gradient_signals(targets: Targets) -> Iterator[Signal]:
    """Gradients of every target at the visual tokens, and of the soft Dice in inner layers."""
    for column, target in enumerate(TARGETS):
        for name, values in input_signals(targets, column).items():
            yield Signal(name, values, target)
    layers = inner_layers(len(targets.model.llama.model.layers))
    for layer, values in layer_signals(targets, DICE, layers).items():
        yield Signal("layer_gradient_x_activation", values, TARGETS[DICE], layer)


def block_signals(query: Query, targets: Targets, removal: str = "drop") -> Iterator[Signal]:
    """Fall of every target without a block of tokens; each token carries its block's value."""
    groups = block_groups(query.model.grid, BLOCKS).to(targets.embeds.device)
    falls = as_array(leave_one_out(targets, groups, removal, query.batch_size)[groups])
    for column, target in enumerate(TARGETS):
        yield Signal("leave_one_out", falls[:, column], target, removal=removal)
