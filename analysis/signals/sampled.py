"""Importance signals that cost many passes: integrated gradients, Shapley values, ridge."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from litelvlm.analysis.signals.gradients import blurred_tokens, integrated_gradients
from litelvlm.analysis.signals.importance import Signal, as_array, block_signals, blocks_of
from litelvlm.analysis.signals.removal import Game, kernel_shap, ridge_on_masks, shapley_sampling
from litelvlm.analysis.stats.agreement import reliability
from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel


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
    permutations: int,
    masks: int,
    kept: int,
    seed: int,
) -> Iterator[Signal]:
    """Signals that cost tens to hundreds of passes.

    They are other removals, integrated gradients, Shapley values and ridge regression.

    Args:
        model: The model that is asked.
        query: Its image and question.
        targets: Its targets.
        picture: The image, for the blurred baseline.
        token: Mean token of the data set.
        steps: Nodes of integrated gradients.
        coalitions: Of KernelSHAP, over both halves.
        permutations: Of Shapley sampling, over both halves.
        masks: Random token sets of the ridge regression.
        kept: Tokens in such a set.
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
    players = int(groups.max()) + 1
    halves: dict[str, Callable[[np.random.Generator], Float[Array, "g t"]]] = {
        "kernel_shap": lambda rng: kernel_shap(game, players, -(-coalitions // 2), rng),
        "shapley_sampling": lambda rng: shapley_sampling(game, players, -(-permutations // 2), rng),
    }

    def tokens(present: Bool[Array, "b n"]) -> Float[Array, "b t"]:
        return as_array(targets.keeping(torch.from_numpy(present), query.batch_size))

    rng = np.random.default_rng(seed)
    for name, method in halves.items():
        first, second = method(rng), method(rng)
        both = (first + second) / 2
        for column, target in enumerate(targets.names):
            found = reliability(first[:, column], second[:, column], stepped_up=True)
            yield Signal(name, both[groups, column], target, removal="drop", reliability=found)
    effects = ridge_on_masks(tokens, targets.n_tokens, kept, masks, rng)
    for column, target in enumerate(targets.names):
        yield Signal("ridge", effects[:, column], target, removal="drop")
