"""What removing tokens costs: Shapley values of groups of tokens, ridge regression over tokens.

A game is a function of presence: a boolean matrix, one row per coalition, to one column per target.
Nothing here knows of models.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from litelvlm.arrays import Array

Game = Callable[[Bool[Array, "b g"]], Float[Array, "b t"]]


def kernel_shap(
    game: Game, n_players: int, samples: int, rng: np.random.Generator
) -> Float[Array, "g t"]:
    """Shapley values by weighted regression on sampled coalitions, each with its complement.

    Sizes are drawn with the kernel's weight, so the regression itself is unweighted; the values are
    constrained to sum to the value of everybody less that of nobody. An additive game is solved
    exactly once the samples span it.

    Args:
        game: Value of coalitions.
        n_players: Groups of tokens.
        samples: Coalitions, complements included.
        rng: Random numbers.

    Source: Lundberg and Lee 2017, theorem 2; paired sampling Covert and Lee 2021, section 4.
    """
    sizes = np.arange(1, n_players)
    probability = 1 / (sizes * (n_players - sizes))
    drawn = rng.choice(sizes, size=-(-samples // 2), p=probability / probability.sum())
    order = rng.random((len(drawn), n_players)).argsort(1).argsort(1)
    half = order < drawn[:, None]
    present = np.concatenate([half, ~half])[:samples]
    nobody, everybody = game(np.array([[False] * n_players, [True] * n_players]))
    total = everybody - nobody
    # The constraint leaves n - 1 unknowns: the last player's value is the total less the others'.
    design = present[:, :-1].astype(np.float64) - present[:, -1:]
    outcome = game(present) - nobody - present[:, -1:] * total
    values = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return np.vstack([values, total - values.sum(0)])


def shapley_sampling(
    game: Game, n_players: int, permutations: int, rng: np.random.Generator
) -> Float[Array, "g t"]:
    """Mean marginal value of each player over random orders of arrival.

    Source: Castro, Gomez and Tejada 2009, section 3.
    """
    totals = np.zeros((n_players, 0))
    for _ in range(permutations):
        arrival = rng.permutation(n_players)
        present = np.zeros((n_players + 1, n_players), dtype=bool)
        for step, player in enumerate(arrival):
            present[step + 1 :, player] = True
        gains = np.diff(game(present), axis=0)
        if not totals.shape[1]:
            totals = np.zeros((n_players, gains.shape[1]))
        totals[arrival] += gains
    return totals / permutations


def ridge_on_masks(
    game: Game, n_players: int, kept: int, samples: int, rng: np.random.Generator
) -> Float[Array, "g t"]:
    """Linear effect of keeping each token when ``kept`` random ones are left, by ridge regression.

    The penalty is the mean squared length of a centred column, which halves what a lone column
    would get.

    Args:
        game: Value of sets of tokens.
        n_players: Tokens.
        kept: Tokens of each random set.
        samples: Random sets.
        rng: Random numbers.

    Raises:
        ValueError: If ``kept`` does not lie between 1 and one less than the tokens.
    """
    if not 1 <= kept < n_players:
        raise ValueError(f"kept must be between 1 and {n_players - 1}, got {kept}")
    present = rng.random((samples, n_players)).argsort(1).argsort(1) < kept
    design = present - present.mean(0)
    outcome = game(present)
    gram = design.T @ design
    ridge = np.trace(gram) / n_players
    values: Array = np.linalg.solve(
        gram + ridge * np.eye(n_players), design.T @ (outcome - outcome.mean(0))
    )
    return values
