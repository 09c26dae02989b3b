"""Read the queries, keys and values of attention modules, as the modules themselves compute them.

Families differ in norms, biases and rotations. Their attention modules all hand the finished
queries and keys to one function of the library, which is where they are read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from threading import get_ident

from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

READ = "litelvlm_read"
"""Name of the attention function that remembers states."""
READER = "litelvlm_reader"
"""Attribute of a module that is read."""


@dataclass(frozen=True, eq=False)
class AttentionStates:
    """States of one call of an attention module.

    Attributes:
        query: Queries [b, heads, s, e], rotated.
        key: Keys, one head per group of query heads, rotated.
        value: Values, likewise.
        scale: Factor of the products of queries and keys.
        mask: Which of these pairs attend, as the model told its attention; None for all.
    """

    query: Float[Tensor, "b h s e"]
    key: Float[Tensor, "b g s e"]
    value: Float[Tensor, "b g s e2"]
    scale: float
    mask: object = None


@dataclass(eq=False)
class Reader:
    """What a module that is read showed.

    Attributes:
        kernel: Name of the attention function that the call goes on to.
        attend: Whether it does; otherwise it attends to nothing.
        calls: States of each call, in order.
        thread: Where it reads; calls of the same module in other threads go on unread.
    """

    kernel: str
    attend: bool = True
    calls: list[AttentionStates] = field(default_factory=list)
    thread: int = field(default_factory=get_ident)


def read(
    module: nn.Module,
    query: Float[Tensor, "b h q e"],
    key: Float[Tensor, "b g k e"],
    value: Float[Tensor, "b g k e2"],
    attention_mask: object,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, Tensor | None]:
    """Remember the states, and attend as the model does or return zeros."""
    reader: Reader = module.__dict__[READER]
    if get_ident() == reader.thread:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        states = AttentionStates(query, key, value, scale, attention_mask)
        remember(reader, states, options.get("cu_seq_lens_q"))
        if not reader.attend:
            empty = value.new_zeros(len(query), query.shape[2], query.shape[1], value.shape[-1])
            return empty, None
    # The eager function is each family's own; the fused one computes the same.
    kernel = "sdpa" if reader.kernel == "eager" else reader.kernel
    own = ALL_ATTENTION_FUNCTIONS[kernel]
    found: tuple[Tensor, Tensor | None] = own(
        module, query, key, value, attention_mask, scaling=scaling, **options
    )
    return found


def remember(reader: Reader, states: AttentionStates, bounds: object) -> None:
    """Add the states of one call; ``bounds`` are those of the images in a single row."""
    if isinstance(bounds, Tensor):
        # Flash attention gets all images in one row; the others get them one by one.
        lengths = bounds.diff().tolist()
        split = [part.split(lengths, dim=2) for part in (states.query, states.key, states.value)]
        reader.calls += [
            AttentionStates(query, key, value, states.scale, states.mask)
            for query, key, value in zip(*split, strict=True)
        ]
    else:
        reader.calls.append(states)


ALL_ATTENTION_FUNCTIONS.register(READ, read)


@contextmanager
def reading(modules: Sequence[nn.Module], attend: bool = True) -> Iterator[list[Reader]]:
    """Read attention modules; undone afterwards.

    Args:
        modules: Different modules.
        attend: Whether they also attend, by the model's own kernel.
    """
    own = [module.config for module in modules]
    readers = []
    try:
        for module, config in zip(modules, own, strict=True):
            kernel = str(config._attn_implementation)  # type: ignore[union-attr]
            changed = copy(config)
            changed._attn_implementation_internal = READ  # type: ignore[union-attr]
            readers.append(Reader(kernel, attend))
            module.__dict__[READER], module.config = readers[-1], changed
        yield readers
    finally:
        for module, config in zip(modules, own, strict=True):
            module.config = config
            module.__dict__.pop(READER, None)
