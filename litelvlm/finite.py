"""Numbers that must be finite: where NaN or infinity appears, nothing after it means anything."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class NotFiniteError(ValueError):
    """A tensor holds NaN or infinity."""


def require_finite(values: Tensor, what: str) -> Tensor:
    """Return a tensor whose numbers are all finite.

    Args:
        values: Real numbers of any shape.
        what: What they are, for the message.

    Raises:
        NotFiniteError: If one is NaN or infinite; the message counts them.
    """
    finite = torch.isfinite(values)
    if finite.all():
        return values
    wrong = int((~finite).sum())
    raise NotFiniteError(
        f"{what} has {wrong} of {values.numel()} numbers that are NaN or infinite; no result can "
        "follow from it. Check the weights with `litelvlm check`, or use --dtype float32 if a "
        "shorter number type overflows"
    )


def require_finite_weights(module: Module, what: str) -> Module:
    """Return a module whose floating-point weights are all finite.

    Raises:
        NotFiniteError: Naming the first weight that is not.
    """
    for name, weight in module.state_dict().items():
        if weight.is_floating_point():
            require_finite(weight, f"weight {name} of {what}")
    return module
