"""One frame through SAM2's mask decoder, with embeddings as the only prompt."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import Sam2VideoModel

NO_OBJECT = -1024.0
"""Mask logit of a frame that the object score calls empty."""


class FrameMasks(NamedTuple):
    """What the mask decoder says about one frame.

    Attributes:
        low_res: Mask logits at a quarter of SAM2's side.
        ious: Predicted IoU of every mask on offer.
        object_scores: Logit of whether the object is in the frame.
        pointers: Summary of the object, for later frames.
    """

    low_res: Float[Tensor, "t s s"]
    ious: Float[Tensor, "t m"]
    object_scores: Float[Tensor, "t"]
    pointers: Float[Tensor, "t c"]


def not_a_point(sam: Sam2VideoModel, count: int) -> Float[Tensor, "{count} 2 c"]:
    """The two prompt tokens that stand for no click."""
    return sam.prompt_encoder.not_a_point_embed.weight.expand(count, 2, -1)


def every_mask(
    sam: Sam2VideoModel,
    fine: tuple[Float[Tensor, "_ c4 h4 w4"], Float[Tensor, "_ c2 h2 w2"]],
    image: Float[Tensor, "t c h w"],
    prompts: Float[Tensor, "t n c"],
    several: bool,
) -> tuple[
    Float[Tensor, "t m s s"], Float[Tensor, "t m"], Float[Tensor, "t m c"], Float[Tensor, "t"]
]:
    """Every mask on offer, its predicted IoU and its token; and the object scores.

    Args:
        sam: The model whose decoder is used.
        fine: High-resolution features of the frame, once or for each prompt.
        image: As for ``decode_frame``.
        prompts: Likewise.
        several: Three masks, or the single one.
    """
    count = len(prompts)
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    positions = sam.get_image_wide_positional_embeddings()
    masks, ious, tokens, scores = sam.mask_decoder(
        image_embeddings=image,
        image_positional_embeddings=positions.to(image.dtype).expand(count, -1, -1, -1),
        sparse_prompt_embeddings=prompts[:, None],
        dense_prompt_embeddings=dense.expand(count, -1, *image.shape[-2:]),
        multimask_output=several,
        high_resolution_features=[level.expand(count, -1, -1, -1) for level in fine],
    )
    return masks[:, 0], ious[:, 0], tokens[:, 0], scores[:, 0, 0]


def decode_frame(
    sam: Sam2VideoModel,
    fine: tuple[Float[Tensor, "1 c4 h4 w4"], Float[Tensor, "1 c2 h2 w2"]],
    image: Float[Tensor, "t c h w"],
    prompts: Float[Tensor, "t n c"],
    several: bool,
) -> FrameMasks:
    """Decode one mask for each prompt.

    Args:
        sam: The model whose decoder is used.
        fine: High-resolution features of the frame.
        image: Its tokens, for each prompt conditioned on what that prompt's object was.
        prompts: Sparse prompt tokens.
        several: Whether the best of three masks is taken, and an object score of 0 or below empties
            it; else the single mask, or the best of three if it is not stable, whatever the score.
    """
    masks, ious, tokens, scores = every_mask(sam, fine, image, prompts, several)
    best, each = ious.argmax(-1), torch.arange(len(prompts), device=ious.device)
    there = (scores > 0)[:, None]
    pointers = torch.where(
        there, sam.object_pointer_proj(tokens[each, best]), sam.no_object_pointer
    )
    chosen = masks[each, best]
    if several:
        chosen = torch.where(there[..., None], chosen, NO_OBJECT)
    return FrameMasks(chosen, ious, scores, pointers)


def resized(masks: Float[Tensor, "t s s"], size: tuple[int, int]) -> Float[Tensor, "t h w"]:
    """Low-resolution logits stretched to a size in one step, float32."""
    return F.interpolate(masks[None].float(), size, mode="bilinear", align_corners=False)[0]
