"""Let a method choose among the visual tokens of an image, and fill the slots of the prompt."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.models.vlm.items import VisualItem
from litelvlm.pruning import Cues, LayerPruner, Pruner, Selection
from litelvlm.pruning.frames import each_frame
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.positions import Positions, sequence_positions

Frames = Literal["each", "together"]


def select(
    pruner: Pruner, item: VisualItem, cues: Cues, budget: int | float, frames: str
) -> tuple[Selection, Int[Tensor, "r"]]:
    """Choose tokens of one image or video.

    Args:
        pruner: The method.
        item: The image.
        cues: What the method may read of it.
        budget: Tokens to keep, or their share; of a video over all its frames.
        frames: "each" chooses in every frame of a video, with an equal part of the budget;
            "together" among all tokens at once.

    Returns:
        The selection, and the patch that each of its tokens stands for.

    Raises:
        ValueError: If the budget does not fit the image or leaves a frame without any token, or the
            method needs what the model cannot give.
    """
    try:
        plan = pruner.select(cues, budget) if isinstance(pruner, LayerPruner) else None
        if isinstance(plan, LayerPlan):
            return plan, plan.places
        # Under "original" a selection's positions are the places its tokens stand for.
        method = replace(pruner, positions="original")
        if cues.frames == 1 or frames == "together":
            found = method.select(cues, budget)
        else:
            found = method.select(each_frame(cues), budget)
        places = found.positions[0]
        if cues.frames > 1:
            check_groups(places, cues)
    except ValueError as error:
        raise ValueError(f"{pruner.name} on {item.name}: {error}") from error
    return found, places


def check_groups(places: Int[Tensor, "r"], cues: Cues) -> None:
    """Refuse a choice that leaves a frame without any token.

    Raises:
        ValueError: Naming the first such frame.
    """
    groups = torch.bincount(places // cues.layout.per_frame, minlength=cues.frames)
    empty = (groups == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"frame {empty[0]} of {cues.frames} keeps no token, so its place in time would be "
            "lost; raise the budget, or choose with frames='each'"
        )


@dataclass(frozen=True, eq=False)
class ItemSlots:
    """What is left of one image.

    Attributes:
        item: The image.
        selection: The method's choice among its patches.
        columns: Columns of the prompt whose placeholders stay, ascending; one column may serve
            twice where several tokens stand for one place.
        rows: For each of them, the row of the image's features that fills it.
        weights: Weights over all rows that replace ``rows`` where tokens are merged, else None.
        position_columns: For each slot, the column of the full prompt whose position it takes.
    """

    item: VisualItem
    selection: Selection
    columns: Int[Tensor, "r"]
    rows: Int[Tensor, "r"]
    weights: Float[Tensor, "r n"] | None
    position_columns: Int[Tensor, "r"]

    def take(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "r d"]:
        """The same choice from any features of this image."""
        if self.weights is None:
            return features[self.rows]
        return mix(self.weights.to(features.device), features)


def fill_slots(
    item: VisualItem,
    selection: Selection,
    places: Int[Tensor, "k"],
    policy: Positions,
    method: str,
) -> ItemSlots:
    """Give each chosen token a slot of the prompt, and keep the rows that are no patches.

    Slots stay where their placeholders are. Tokens fill them in the order of the selection.

    Args:
        item: The image.
        selection: The method's choice among its patches.
        places: Patch that each chosen token stands for.
        policy: "original" or "stretch" say whose position a token takes; "contiguous" ones are
            given to the shortened prompt later.
        method: Name of the method, for messages.

    Raises:
        ValueError: If a token is no mixture of visual tokens, or attention is to be calibrated.
    """
    device = item.features.device
    places, indices = places.to(device), selection.indices.to(device)
    stays = torch.ones(len(item.features), dtype=torch.bool, device=device)
    stays[item.patches] = False
    separators = stays.nonzero().flatten()
    keys = torch.cat([item.patches[places], separators])
    order = torch.sort(keys, stable=True).indices
    chosen = order < len(places)
    taken = places
    if policy == "stretch":
        taken = sequence_positions(places, len(item.patches), "stretch")[0][0]
    # A token made of several has no row of its own; its weights replace the row below.
    own = item.patches[torch.where(indices < 0, places, indices)]
    rows, position_rows = keys[order].clone(), keys[order].clone()
    rows[chosen], position_rows[chosen] = own, item.patches[taken]
    weights = merge_weights(item, selection, keys[order], chosen, method)
    return ItemSlots(
        item,
        selection,
        item.columns[keys[order]],
        rows,
        weights,
        item.columns[position_rows],
    )


def merge_weights(
    item: VisualItem, selection: Selection, keys: Int[Tensor, "r"], chosen: Tensor, method: str
) -> Float[Tensor, "r n"] | None:
    """Weights over the rows of an image that make the tokens of its slots; None without merging."""
    if selection.sizes is not None:
        raise ValueError(
            f"{method} calibrates the language model's attention, which prune() leaves as it is; "
            "take the method that it holds, without calibration"
        )
    if selection.tokens is None and bool((selection.indices >= 0).all()):
        return None
    source = selection.source
    if source is None or bool((source == 0).all(dim=1).any()):
        raise ValueError(
            f"{method} gives the language model a token that is not a mixture of visual tokens "
            "(the image tower's CLS state), which a projected image does not hold; take a method "
            "that keeps or merges patches, for example 'divprune'"
        )
    weights = one_hot(keys, len(item.features)).to(item.features.device)
    rows = chosen.nonzero().flatten()
    weights[rows] = 0
    weights[rows[:, None], item.patches] = source.to(weights)
    return weights
