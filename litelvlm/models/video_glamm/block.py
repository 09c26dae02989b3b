"""Which visual tokens the language model reads after a selection."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.models.video_glamm.network import VideoGlammNetwork, pool_squares
from litelvlm.models.video_glamm.outputs import ClipState, VisualBlock
from litelvlm.pruning import LayerPlan, Selection
from litelvlm.pruning.grid import uniform_indices


def visual_block(
    model: VideoGlammNetwork, state: ClipState, selection: Selection | None
) -> VisualBlock:
    """Visual tokens in the language model's order: all of CLIP's, then all of the video tower's.

    Args:
        model: The parts.
        state: The encoded clip.
        selection: What a method chose; None keeps every token.

    Raises:
        ValueError: If the prune point does not take the selection.
    """
    layout = model.clip_layout
    if not state.is_image and state.view.layout != layout:
        raise ValueError(
            f"the clip was encoded as {state.view.layout}, and {model.name!r} offers {layout}; "
            "encode it once more with this model"
        )
    if selection is not None:
        check_selection(model, state, selection)
    chosen = _chosen(model, state, selection)
    video, grids = state.video_tokens, model.grids
    if selection is not None and model.point.video and not state.is_image:
        kept = grids.video_kept(model.point, len(selection))
        even = uniform_indices(kept, (grids.video_pooled, grids.video_pooled))
        video = video.unflatten(0, (len(state.read), -1))[:, even].flatten(0, 1)
    if selection is None or len(chosen) != len(selection):
        offsets, span = torch.arange(len(chosen)), len(chosen)
    else:
        offsets, span = selection.positions[0].cpu(), selection.span
    behind = span + torch.arange(len(video))
    return VisualBlock(
        torch.cat([chosen, video]),
        torch.cat([offsets, behind]).to(model.device),
        span + len(video),
    )


def _chosen(
    model: VideoGlammNetwork, state: ClipState, selection: Selection | None
) -> Float[Tensor, "r e"]:
    """CLIP's tokens that the language model reads."""
    point, projected = model.point, _projected(model, state, selection)
    if state.is_image or point.pooled or (selection is not None and not point.repooled):
        return projected
    frames = projected.unflatten(0, (len(state.read), -1))
    return pool_squares(frames, model.grids.pooled).flatten(0, 1)


def _projected(
    model: VideoGlammNetwork, state: ClipState, selection: Selection | None
) -> Float[Tensor, "r e"]:
    """The chosen tokens in the language model's input space, before any pooling."""
    behind = model.point.pooled and not state.is_image
    rows = state.tokens
    if selection is not None:
        if selection.tokens is not None and selection.stage == "post_projector":
            return selection.tokens.to(model.dtype)
        rows = _mixed(model, rows, selection) if behind else _kept(rows, selection)
    return rows.to(model.dtype) if behind else model.project_image(rows)


def _kept(tokens: Float[Tensor, "n d"], selection: Selection) -> Float[Tensor, "r d"]:
    if selection.tokens is not None:
        return selection.tokens
    return tokens[selection.indices.to(tokens.device)]


def _mixed(
    model: VideoGlammNetwork, tokens: Float[Tensor, "n e"], selection: Selection
) -> Float[Tensor, "r e"]:
    """Tokens behind the projector of a choice that was made among CLIP's pooled states."""
    if selection.tokens is None:
        return _kept(tokens, selection)
    rows = cast(Tensor, selection.source).to(tokens) @ tokens
    of_class = [role == "cls" for role in selection.roles or ()]
    if any(of_class):
        rows[of_class] = model.project_image(selection.tokens[of_class])
    return rows


def check_selection(model: VideoGlammNetwork, state: ClipState, selection: Selection) -> None:
    """Refuse a selection that the prune point does not take.

    Raises:
        ValueError: Naming what is wrong.
    """
    point, n_tokens = model.point, state.view.n_tokens
    if isinstance(selection, LayerPlan) or selection.sizes is not None:
        raise ValueError(
            f"the selection works inside the language model, where {model.name!r} changes nothing; "
            "take a method that chooses before it"
        )
    if selection.n_tokens != n_tokens:
        raise ValueError(
            f"the selection is of {selection.n_tokens} tokens, and the clip offers {n_tokens} at "
            f"prune point {point.name}; select once more"
        )
    if state.is_image:
        return
    model.grids.checked(point, len(selection))
    if not point.pooled and selection.span != len(selection):
        raise ValueError(
            f"prune point {point.name} lies before the pooling, where tokens have no place in the "
            "unpruned sequence; take positions='contiguous'"
        )
    if point.by_frame and selection.tokens is None:
        frames = selection.indices.cpu() // state.view.layout.per_frame
        counts = torch.bincount(frames, minlength=len(state.read)).tolist()
        if max(counts) - min(counts) > (0 if point.repooled else 1):
            raise ValueError(
                f"prune point {point.name} keeps an equal part of every frame, got {counts} "
                "tokens; take V4 for one budget over the clip"
            )
