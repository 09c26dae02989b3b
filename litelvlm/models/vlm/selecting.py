"""Let a method choose among the visual tokens of one image or video."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.models.vlm.cues import one_frame
from litelvlm.models.vlm.items import VisualItem
from litelvlm.pruning import Cues, LayerPruner, Pruner, Selection, check_budget
from litelvlm.pruning.layers.base import LayerPlan

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
            found = frame_by_frame(method, cues, budget)
        places = found.positions[0]
        if cues.frames > 1:
            check_groups(places, cues)
    except ValueError as error:
        raise ValueError(f"{pruner.name} on {item.name}: {error}") from error
    return found, places


def frame_by_frame(method: Pruner, cues: Cues, budget: int | float) -> Selection:
    """Choose in each frame of a video, with an equal part of the budget.

    Raises:
        ValueError: If the budget is smaller than the number of frames.
    """
    count = check_budget(budget, cues.n_tokens)
    if count < cues.frames:
        raise ValueError(too_small(count, cues.frames))
    part, extra = divmod(count, cues.frames)
    chosen = [
        method.select(one_frame(cues, frame), part + (frame < extra))
        for frame in range(cues.frames)
    ]
    return joined(chosen, cues.n_tokens // cues.frames)


def joined(selections: Sequence[Selection], per_frame: int) -> Selection:
    """One selection over a video from those of its frames."""
    starts = [frame * per_frame for frame in range(len(selections))]
    indices = [
        torch.where(s.indices < 0, s.indices, s.indices + start)
        for s, start in zip(selections, starts, strict=True)
    ]
    places = [s.positions + start for s, start in zip(selections, starts, strict=True)]
    sources = [s.source for s in selections if s.source is not None]
    tokens = [s.tokens for s in selections if s.tokens is not None]
    n_tokens = per_frame * len(selections)
    return Selection(
        indices=torch.cat(indices),
        n_tokens=n_tokens,
        positions=torch.cat(places, dim=1),
        span=n_tokens,
        tokens=torch.cat(tokens) if tokens else None,
        source=torch.block_diag(*sources) if sources else None,
        stage=selections[0].stage,
    )


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


def too_small(count: int, frames: int) -> str:
    """Message for a budget that is smaller than the number of temporal groups."""
    return (
        f"budget {count} is too small for {frames} temporal groups (frames, or pairs of frames, "
        f"that the model reads as one); give at least {frames}, one token for each"
    )
