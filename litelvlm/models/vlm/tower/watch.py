"""Watch some attention modules of an image tower while it runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

WATCH = "litelvlm_watch"
"""Name of the attention function that hands on to the model's own, and remembers its states."""
WATCHER = "litelvlm_watcher"
"""Attribute of a module that is watched."""


@dataclass(frozen=True, eq=False)
class Watched:
    """States of one call of an attention module.

    Attributes:
        query: Queries [b, heads, s, e].
        key: Keys, likewise.
        value: Values, likewise.
        scale: Factor of their products.
    """

    query: Float[Tensor, "b h s e"]
    key: Float[Tensor, "b h s e"]
    value: Float[Tensor, "b h s e"]
    scale: float


@dataclass(eq=False)
class Watcher:
    """What a watched module showed.

    Attributes:
        kernel: Name of the model's own attention function.
        calls: States of each call, in order.
    """

    kernel: str
    calls: list[Watched]


def watch(
    module: nn.Module,
    query: Float[Tensor, "b h q e"],
    key: Float[Tensor, "b g k e"],
    value: Float[Tensor, "b g k e2"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, Tensor | None]:
    """Remember the states and attend as the model does."""
    watcher: Watcher = module.__dict__[WATCHER]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    bounds = options.get("cu_seq_lens_q")
    if isinstance(bounds, Tensor):
        # Flash attention gets all images in one row; the others get them one by one.
        lengths = bounds.diff().tolist()
        split = [states.split(lengths, dim=2) for states in (query, key, value)]
        watcher.calls += [Watched(q, k, v, scale) for q, k, v in zip(*split, strict=True)]
    else:
        watcher.calls.append(Watched(query, key, value, scale))
    # The eager function is each family's own; the fused one computes the same.
    kernel = "sdpa" if watcher.kernel == "eager" else watcher.kernel
    own = ALL_ATTENTION_FUNCTIONS[kernel]
    found: tuple[Tensor, Tensor | None] = own(
        module, query, key, value, attention_mask, scaling=scaling, **options
    )
    return found


ALL_ATTENTION_FUNCTIONS.register(WATCH, watch)


@contextmanager
def watching(modules: Sequence[nn.Module]) -> Iterator[list[Watcher]]:
    """Watch attention modules; undone afterwards.

    Args:
        modules: Different modules.
    """
    own = [module.config for module in modules]
    watchers = []
    try:
        for module, config in zip(modules, own, strict=True):
            watcher = Watcher(str(config._attn_implementation), [])  # type: ignore[union-attr]
            changed = copy(config)
            changed._attn_implementation_internal = WATCH  # type: ignore[union-attr]
            module.__dict__[WATCHER] = watcher
            module.config = changed
            watchers.append(watcher)
        yield watchers
    finally:
        for module, config in zip(modules, own, strict=True):
            module.config = config
            module.__dict__.pop(WATCHER, None)
