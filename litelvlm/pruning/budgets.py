"""How many tokens to keep: checked before any tensor is touched."""

import operator
from dataclasses import dataclass
from math import floor, isfinite
from typing import SupportsIndex

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class ModelSizes:
    """The sizes of a model that decide whether a method can meet a budget.

    Attributes:
        n_tokens: Visual tokens before pruning.
        n_blocks: Blocks of the image tower whose output reaches the visual tokens.
        n_layers: Layers of the language model.
    """

    n_tokens: int
    n_blocks: int
    n_layers: int


def check_budget(budget: object, n_tokens: int) -> int:
    """Return the budget as a number of tokens, if that many can be kept.

    Args:
        budget: Tokens to keep, synthetic ones (means, CLS) included: a whole number, or the share
            of all tokens as a number strictly between 0 and 1 (see ``tokens_from_ratio``).
        n_tokens: Tokens before pruning.

    Raises:
        ValueError: If it is neither a whole number from 1 to ``n_tokens`` nor a share that keeps at
            least one token. The official LiteLVLM code ends such calls with an index error, a
            failed assertion or, for 0, an empty image.

    Example:
        >>> check_budget(48, 144), check_budget(0.25, 144)
        (48, 36)
    """
    allowed = f"a whole number of tokens from 1 to {n_tokens}"
    if isinstance(budget, np.ndarray | Tensor):
        budget = budget.tolist()
    if isinstance(budget, bool) or not isinstance(budget, SupportsIndex):
        if isinstance(budget, float | np.floating) and 0 < budget < 1:
            return tokens_from_ratio(float(budget), n_tokens)
        raise ValueError(
            f"budget {budget!r} is neither {allowed} nor a share of them between 0 and 1"
        )
    count = operator.index(budget)
    if count < 1:
        raise ValueError(f"budget {count} is not {allowed}; keep at least one token")
    if count > n_tokens:
        raise ValueError(
            f"budget {count} is not {allowed}, all the image has; lower it, or keep every token "
            f"with budget={n_tokens}"
        )
    return count


def round_half_up(value: float) -> int:
    """Nearest whole number of a non-negative value; halves go up (Python rounds them to even)."""
    return floor(value + 0.5)


def tokens_from_ratio(ratio: float, n_tokens: int) -> int:
    """Turn the share of tokens to keep into a budget, rounded to the nearest count.

    Raises:
        ValueError: If the ratio is not in (0, 1], or so small that nothing would be kept.

    Example:
        >>> [tokens_from_ratio(r, 576) for r in (1 / 3, 0.111, 0.056)]
        [192, 64, 32]
    """
    if not isfinite(ratio) or not 0 < ratio <= 1:
        raise ValueError(
            f"ratio {ratio!r} is not in (0, 1]; give the share of the {n_tokens} tokens to keep"
        )
    count = round_half_up(ratio * n_tokens)
    if count < 1:
        raise ValueError(
            f"ratio {ratio!r} of {n_tokens} tokens keeps none; the smallest that keeps one is "
            f"{0.5 / n_tokens}"
        )
    return count
