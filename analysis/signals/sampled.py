"""Importance signals that cost many passes: integrated gradients, Shapley values, ridge."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from litelvlm.analysis.inputs.queries import Query
from litelvlm.analysis.signals.gradients import (
    blurred_tokens,
    integrated_gradients,
)
from litelvlm.analysis.signals.importance import BLOCKS, DICE, Signal, as_array, block_signals
from litelvlm.analysis.signals.removal import Game, kernel_shap, ridge_on_masks, shapley_sampling
from litelvlm.analysis.stats.agreement import reliability
from litelvlm.arrays import Array
from litelvlm.models.glamm.attribution.importance import block_groups
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets


def block_game(query: Query, targets: Targets) -> tuple[Game, Int[Array, "n"]]:
    """The game of blocks as players with the targets as values, and the block of each token."""
    groups = block_groups(query.model.grid, BLOCKS).numpy()

    def game(present: Bool[Array, "b g"]) -> Float[Array, "b t"]:
        return as_array(targets.keeping(torch.from_numpy(present[:, groups]), query.batch_size))

    return game, groups


def shapley(
    query: Query, targets: Targets, coalitions: int, rng: np.random.Generator
) -> Float[Array, "n"]:
    """KernelSHAP of the soft Dice; each token carries its block's value."""
    game, groups = block_game(query, targets)
    values: Array = kernel_shap(game, BLOCKS**2, coalitions, rng)[groups, DICE]
    return values


def sampled_signals(
    query: Query,
    targets: Targets,
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
        query: Model, image and conversation.
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
    for removal in ("mean", "mask"):
        yield from block_signals(query, targets, removal)
    baselines = {
        "mean token": token.expand_as(targets.visual),
        "blurred image": blurred_tokens(query.model, picture),
        "zero": torch.zeros_like(targets.visual),
    }
    for name, baseline in baselines.items():
        values, error = integrated_gradients(targets, DICE, baseline, steps, query.batch_size)
        yield Signal("integrated_gradients", values, TARGETS[DICE], removal=name, error=error)
    game, groups = block_game(query, targets)
    halves: dict[str, Callable[[np.random.Generator], Float[Array, "g t"]]] = {
        "kernel_shap": lambda rng: kernel_shap(game, BLOCKS**2, -(-coalitions // 2), rng),
        "shapley_sampling": lambda rng: shapley_sampling(
            game, BLOCKS**2, -(-permutations // 2), rng
        ),
    }

    def tokens(present: Bool[Array, "b n"]) -> Float[Array, "b t"]:
        return as_array(targets.keeping(torch.from_numpy(present), query.batch_size))

    rng = np.random.default_rng(seed)
    for name, method in halves.items():
        first, second = method(rng), method(rng)
        both = (first + second) / 2
        for column, target in enumerate(TARGETS):
            found = reliability(first[:, column], second[:, column], stepped_up=True)
            yield Signal(name, both[groups, column], target, removal="drop", reliability=found)
    effects = ridge_on_masks(tokens, targets.n_tokens, kept, masks, rng)
    for column, target in enumerate(TARGETS):
        yield Signal("ridge", effects[:, column], target, removal="drop")
