"""Methods of the door in place of a model's own, and refusals in place of some others."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from typing import NoReturn

from torch import nn
from transformers import PreTrainedModel

from litelvlm.models.vlm.network import has_pixels

Method = Callable[..., object]  # type: ignore[explicit-any]  # arguments differ by family
BATCHING = ("generate_batch", "init_continuous_batching", "continuous_batching_context_manager")
"""Methods that generate from text alone, in batches of their own making."""


class StandIn:
    """A method of the door in place of the model's own, whose signature it shows.

    Args:
        method: That of the door.
        own: The model's.
    """

    def __init__(self, method: Method, own: Method) -> None:
        update_wrapper(self, own)  # the library reads which arguments a model's methods take
        self.method = method

    def __call__(self, *args: object, **given: object) -> object:
        """Call the door's method."""
        return self.method(*args, **given)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "a copy of a pruned model would stay pruned; leave prune() before you copy or pickle "
            "the model (save_pretrained works inside, too)"
        )


def refuse_batching(*args: object, **given: object) -> NoReturn:
    """Stand in for methods that generate in batches of their own making.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "continuous batching reads text alone, which prune() does not prune; call generate, or "
        "leave prune() first"
    )


def refuse_pixels(base: nn.Module, args: tuple[object, ...], given: dict[str, object]) -> None:
    """Before the model inside runs: refuse images that did not go through the door.

    Raises:
        ValueError: If there are any.
    """
    if has_pixels(named(base.forward, args, given)):
        raise ValueError(
            f"{type(base).__name__} was given images and has no head, so prune() does not prune "
            "it; call the model with its head, or leave prune() first"
        )


def named(method: Method, args: Sequence[object], given: Mapping[str, object]) -> dict[str, object]:
    """All arguments of a call by the names that a method gives them.

    Raises:
        TypeError: If there are too many, or one is given twice.
    """
    if not args:
        return dict(given)
    signature = inspect.signature(method)
    signature.bind_partial(*args, **given)
    return {**signature.bind_partial(*args).arguments, **given}


@contextmanager
def methods_replaced(
    model: PreTrainedModel,
    methods: Mapping[str, Method],
) -> Iterator[None]:
    """Put methods of the door in place of a model's own; undone afterwards.

    Args:
        model: The model. Inside it, the one without a head refuses images, where there is one.
        methods: By the name of the model's own.
    """
    refused = {name: refuse_batching for name in BATCHING if hasattr(model, name)}
    replaced = {**refused, **methods}
    before = {name: model.__dict__[name] for name in replaced if name in model.__dict__}
    for name, method in replaced.items():
        model.__dict__[name] = StandIn(method, getattr(model, name))
    inside = [model.base_model] if model.base_model is not model else []
    hooks = [base.register_forward_pre_hook(refuse_pixels, with_kwargs=True) for base in inside]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name in replaced:
            del model.__dict__[name]
        model.__dict__.update(before)
