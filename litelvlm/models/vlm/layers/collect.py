"""Queries, keys and values of an attention module, as the module itself computes them.

Families differ in norms, biases and rotations. Their attention modules all hand the finished
queries and keys to one function of the library, which is where they are read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

COLLECT = "litelvlm_collect"
"""Name of the attention function that reads states and attends to nothing."""
READER = "litelvlm_reader"
"""Attribute of a module whose states are read."""

Reader = Callable[[Tensor, Tensor, Tensor, float], None]
"""Called with queries, keys and values [b, heads, s, e], and the scale of their products."""


def collect(
    module: nn.Module,
    query: Float[Tensor, "b h q e"],
    key: Float[Tensor, "b g k e"],
    value: Float[Tensor, "b g k e2"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, None]:
    """Hand the states to the module's reader and return zeros instead of attending."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    module.__dict__[READER](query, key, value, scale)
    empty = value.new_zeros(len(query), query.shape[2], query.shape[1], value.shape[-1])
    return empty, None


ALL_ATTENTION_FUNCTIONS.register(COLLECT, collect)


@contextmanager
def collecting(attention: nn.Module, reader: Reader) -> Iterator[None]:
    """Read the states of one attention module instead of attending; undone afterwards."""
    own = attention.config
    config = copy(own)
    config._attn_implementation_internal = COLLECT  # type: ignore[union-attr]
    attention.__dict__[READER] = reader
    attention.config = config
    try:
        yield
    finally:
        attention.config = own
        del attention.__dict__[READER]
