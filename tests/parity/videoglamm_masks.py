"""Stages of SAM2 for the recordings of VideoGLaMM, frame by frame and with memory."""

import torch
from torch import Tensor

from litelvlm.models.sam2.memory import Memory
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.outputs import ClipState

# Where the mask decoder looks how stable its single mask is.
DELTA = 0.05


def framewise_stages(model: VideoGlamm, state: ClipState, seg: Tensor) -> dict[str, Tensor]:
    """What each frame by itself gives; tensors lead with frames, then objects."""
    steps = list(model.masker.begin(state).steps(seg))
    every = [all_masks(model, step.features.fine, step.image, step.prompts) for step in steps]
    single = torch.stack([masks[:, :1] for masks, _ in every])
    inside, around = ((single > edge).sum((-2, -1)) for edge in (DELTA, -DELTA))
    first = steps[0]
    got = {
        "sparse": first.prompts,
        "low_res": torch.stack([step.masks.low_res for step in steps])[:, :, None],
        "object_score": torch.stack([step.masks.object_scores for step in steps])[..., None],
        "all_iou": torch.stack([ious for _, ious in every]),
        "stability": inside / around.clamp(min=1),
        "all_low_res_frame0": every[0][0],
        "sam_image_embed_frame0": first.image[:1],
        "high_res_0_frame0": first.features.fine[0],
        "high_res_1_frame0": first.features.fine[1],
        "masks": (model.masker.begin(state).decode(seg) > 0).transpose(0, 1).to(torch.uint8),
    }
    got["iou"] = torch.stack([step.masks.ious for step in steps])
    return {f"framewise.{name}": tensor for name, tensor in got.items()}


def all_masks(
    model: VideoGlamm, fine: tuple[Tensor, Tensor], image: Tensor, prompts: Tensor
) -> tuple[Tensor, Tensor]:
    """The single mask and the three others, with their predicted IoUs."""
    sam, decoder, count = model.sam2, model.sam2.mask_decoder, len(prompts)
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    positions = sam.get_image_wide_positional_embeddings().expand(count, -1, -1, -1)
    found = []
    before = decoder.dynamic_multimask_via_stability
    decoder.dynamic_multimask_via_stability = False
    try:
        for several in (False, True):
            found.append(
                decoder(
                    image_embeddings=image,
                    image_positional_embeddings=positions,
                    sparse_prompt_embeddings=prompts[:, None],
                    dense_prompt_embeddings=dense.expand(count, -1, *image.shape[-2:]),
                    multimask_output=several,
                    high_resolution_features=[level.expand(count, -1, -1, -1) for level in fine],
                )
            )
    finally:
        decoder.dynamic_multimask_via_stability = before
    masks, ious = (torch.cat([one[i][:, 0] for one in found], dim=1) for i in (0, 1))
    return masks, ious


def video_stages(model: VideoGlamm, state: ClipState, seg: Tensor) -> dict[str, Tensor]:
    """What the clip with memory gives."""
    masker, n_frames = model.masker.begin(state), len(state.sam_frames)
    steps = list(masker.steps(seg))
    memory = Memory(model.sam2, n_frames, masker.numbers, masker.binarised)
    kept = [memory.remember(s.frame, s.features, s.masks).features for s in steps]
    ends = torch.stack([kept[0], kept[-1]]).permute(0, 2, 3, 1)
    logits = masker.decode(seg)
    got = {
        "sparse_frame0": steps[0].prompts,
        "low_res": torch.stack([step.masks.low_res for step in steps])[:, :, None],
        "iou": torch.stack([step.masks.ious for step in steps]),
        "object_score": torch.stack([step.masks.object_scores for step in steps])[..., None],
        "obj_ptr": torch.stack([step.masks.pointers for step in steps]),
        "memory_bf16": ends.unflatten(-1, steps[0].image.shape[-2:]),
        "logits_first_last": logits[:, sorted({0, n_frames - 1})].transpose(0, 1)[:, :, None],
        "masks": (logits > 0).transpose(0, 1).to(torch.uint8),
    }
    if n_frames > 1:
        got["memory_conditioned_frame1"] = steps[1].image.flatten(2).permute(2, 0, 1)
    return {f"video.{name}": tensor for name, tensor in got.items()}
