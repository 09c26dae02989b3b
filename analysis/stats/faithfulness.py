"""How well a ranking of tokens predicts the effect of their removal; arrays only."""

from collections.abc import Sequence

import numpy as np
import torch
from captum.metrics import infidelity
from jaxtyping import Bool, Float, Int

from litelvlm.arrays import Array

ERASER_SHARES = (32 / 576, 64 / 576, 128 / 576, 192 / 576, 288 / 576)


def curve_points(n_tokens: int, steps: int) -> tuple[int, ...]:
    """Token counts of the curves: ``steps`` even steps from none to all, and those of sufficiency.

    Example:
        >>> curve_points(144, 4)
        (0, 8, 16, 32, 36, 48, 72, 108, 144)
    """
    even = {round(n_tokens * step / steps) for step in range(steps + 1)}
    return tuple(sorted(even | set(eraser_counts(n_tokens))))


def eraser_counts(n_tokens: int) -> tuple[int, ...]:
    """Token counts of sufficiency: 32, 64, 128, 192 and 288 of 576, as published.

    Source: DeYoung et al. 2020 (ERASER), equation 2.

    Example:
        >>> eraser_counts(144)
        (8, 16, 32, 48, 72)
    """
    return tuple(sorted({max(1, round(n_tokens * share)) for share in ERASER_SHARES}))


def first_tokens(order: Int[Array, "n"], counts: Sequence[int]) -> Bool[Array, "c n"]:
    """For each count, which tokens are among that many first ones."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    inside: Array = place[None] < np.asarray(counts)[:, None]
    return inside


def curve_area(counts: Sequence[int], values: Float[Array, "c"]) -> float:
    """Area under a curve over the share of tokens, from none to all, by trapezoids.

    On even steps this is (sum of y - (first + last) / 2) / steps.

    Source: Petsiuk, Das and Saenko 2018 (RISE), section 4.2, and its official code.
    """
    share = np.asarray(counts, dtype=np.float64) / counts[-1]
    return float(np.trapezoid(values, share))


def square_removals(
    grid: tuple[int, int], count: int, rng: np.random.Generator
) -> Bool[Array, "m n"]:
    """Random squares of tokens to take away, sides from 2 to half of the grid's shorter side.

    Squares can take a whole object away. Tokens strewn over the picture hardly ever do: nearly
    nothing would change, and every ranking would fit that equally well.

    Source: Yeh et al. 2019, section 2.2, square removal.

    Raises:
        ValueError: If the grid has fewer than four rows or columns.
    """
    longest = min(grid) // 2
    if longest < 2:
        raise ValueError(f"squares need a grid of at least 4 x 4 tokens, got {grid[0]} x {grid[1]}")
    side = rng.integers(2, longest + 1, count)[:, None]
    top, left = (rng.integers(0, extent - side + 1) for extent in grid)
    row, column = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    removed: Array = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return removed


def moved_round(
    values: Float[Array, "n"], grid: tuple[int, int], rng: np.random.Generator
) -> Float[Array, "n"]:
    """A map shifted round the grid by a random step other than zero; it keeps its smoothness."""
    down, right = np.divmod(int(rng.integers(1, grid[0] * grid[1])), grid[1])
    moved: Array = np.roll(values.reshape(grid), (down, right), axis=(0, 1)).ravel()
    return moved


def rank_infidelity(
    order: Int[Array, "n"], removed: Bool[Array, "m n"], values: Float[Array, "m"], whole: float
) -> float:
    """Normalised infidelity (captum) of a ranking to the effects of random removals; 0 is best.

    A token's attribution is its rank over N, highest for the first one, scaled by the factor that
    fits best: rankings have no unit, so they can be compared. The factor may be negative, so this
    measure does not see a reversed sign.

    Args:
        order: Tokens, first one first.
        removed: Tokens taken away, removal by removal.
        values: Target after each removal.
        whole: Target with all tokens.

    Source: Yeh et al. 2019, definition 2.1, with the optimal scaling of its section 4.
    """
    n = len(order)
    attribution = torch.zeros(1, n, dtype=torch.float64)
    attribution[0, torch.from_numpy(order.copy())] = torch.arange(n, 0, -1, dtype=torch.float64) / n
    gone = torch.from_numpy(removed).double()
    known = torch.cat([torch.ones(1, n, dtype=torch.float64), 1 - gone])
    answers = torch.cat(
        [torch.tensor([whole], dtype=torch.float64), torch.from_numpy(values).double()]
    )

    def target(present: torch.Tensor) -> torch.Tensor:
        """The value that was measured for a set of tokens."""
        return answers[(present[:, None] == known).all(-1).double().argmax(1)]

    found = infidelity(
        target,
        lambda present: (gone, present - gone),
        torch.ones(1, n, dtype=torch.float64),
        attribution,
        n_perturb_samples=len(removed),
        normalize=True,
    )
    return float(found[0])
