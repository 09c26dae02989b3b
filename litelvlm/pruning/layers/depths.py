"""Layers published for a model of 32 layers, found in models of other depth."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from litelvlm.pruning.budgets import round_half_up

Depth = Literal["published", "budget"]
# The preset of every method that drops at published layers by default.
MATCHED: Mapping[str, str] = MappingProxyType({"depth": "budget"})
PUBLISHED_DEPTH = 32  # layers of the 7B model that every published layer number means


def scaled_layers(published: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """Layers at the same relative depth as published for 32 layers, rounded and all different.

    Only layer 0 becomes layer 0.

    Example:
        >>> scaled_layers((8, 16, 24), 4), scaled_layers((2,), 4), scaled_layers((2,), 32)
        ((1, 2, 3), (1,), (2,))
    """
    last = n_layers - 1
    return tuple(
        sorted(
            {
                min(max(round_half_up(layer * n_layers / PUBLISHED_DEPTH), min(layer, 1)), last)
                for layer in published
            }
        )
    )


# mypy gives a plain slice arguments of Any; it takes none at run time before Python 3.13.
def middle_layers(n_layers: int) -> slice:  # type: ignore[explicit-any, unused-ignore]  # see above
    """Layers 10 to 20 of 32; in another model, every layer that reaches into this stretch.

    Example:
        >>> middle_layers(32), middle_layers(4)
        (slice(10, 21, None), slice(1, 3, None))
    """
    return slice(10 * n_layers // 32, -(-21 * n_layers // 32))


def check_layers(layers: Sequence[int], n_layers: int, first: int, what: str) -> tuple[int, ...]:
    """Return the layers if they ascend within the model.

    Args:
        layers: Layers before which tokens are dropped.
        n_layers: Layers of the model.
        first: Lowest layer allowed.
        what: Field name for the message.

    Raises:
        ValueError: If not.
    """
    found = tuple(layers)
    if not found or list(found) != sorted(set(found)) or found[0] < first or found[-1] >= n_layers:
        raise ValueError(
            f"{what} {list(found)} must be different, ascending layers from {first} to "
            f"{n_layers - 1}: the language model has {n_layers}"
        )
    return found


def refuse_both(what: str, layers: object, depth: Depth) -> None:
    """Refuse given layers together with ``depth='budget'``, which finds the layers itself.

    Raises:
        ValueError: If both are given.
    """
    if layers is not None and depth == "budget":
        raise ValueError(
            f"{what} {layers!r} and depth='budget' both say where tokens are dropped; leave one out"
        )
