"""Importance signals that cost many passes: integrated gradients and Shapley values."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from litelvlm.analysis.signals.gradients import blurred_tokens, integrated_gradients
from litelvlm.analysis.signals.importance import Signal, as_array, block_signals, blocks_of
from litelvlm.analysis.stats.agreement import reliability, stepped_up
from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel

Game = Callable[[Bool[Array, "b g"]], Float[Array, "b t"]]
"""From presence, a row for each coalition, to its value for each target."""


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


def block_game(query: TokenQuery, targets: TokenTargets) -> tuple[Game, Int[Array, "n"]]:
    """The game of blocks as players with the targets as values, and the block of each token."""
    groups = blocks_of(query).numpy()

    def game(present: Bool[Array, "b g"]) -> Float[Array, "b t"]:
        return as_array(targets.keeping(torch.from_numpy(present[:, groups]), query.batch_size))

    return game, groups


def shapley(
    query: TokenQuery, targets: TokenTargets, coalitions: int, rng: np.random.Generator
) -> Float[Array, "n"]:
    """KernelSHAP of the main target; each token carries its block's value."""
    game, groups = block_game(query, targets)
    players = int(groups.max()) + 1
    values: Array = kernel_shap(game, players, coalitions, rng)[groups, targets.main]
    return values


def sampled_signals(
    model: QueriedModel,
    query: TokenQuery,
    targets: TokenTargets,
    picture: Image.Image,
    token: Float[Tensor, "d"],
    *,
    steps: int,
    coalitions: int,
    seed: int,
) -> Iterator[Signal]:
    """Signals that cost tens to hundreds of passes.

    They are other removals, integrated gradients and Shapley values.

    Args:
        model: The model that is asked.
        query: Its image and question.
        targets: Its targets.
        picture: The image, for the blurred baseline.
        token: Mean token of the data set.
        steps: Nodes of integrated gradients.
        coalitions: Of KernelSHAP, over both halves.
        seed: Of whatever is drawn.
    """
    main = targets.names[targets.main]
    for removal in ("mean", "mask"):
        yield from block_signals(query, targets, removal)
    baselines = {
        "mean token": token.expand_as(targets.visual),
        "blurred image": blurred_tokens(model, picture),
        "zero": torch.zeros_like(targets.visual),
    }
    for name, baseline in baselines.items():
        values, error = integrated_gradients(
            targets, targets.main, baseline, steps, query.batch_size
        )
        yield Signal("integrated_gradients", values, main, removal=name, error=error)
    game, groups = block_game(query, targets)
    rng, players = np.random.default_rng(seed), int(groups.max()) + 1
    first, second = (kernel_shap(game, players, -(-coalitions // 2), rng) for _ in range(2))
    for column, target in enumerate(targets.names):
        both = (first[:, column] + second[:, column]) / 2
        whole = stepped_up(reliability(first[:, column], second[:, column]))
        yield Signal("kernel_shap", both[groups], target, removal="drop", reliability=whole)
