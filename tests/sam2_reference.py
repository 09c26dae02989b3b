"""A tiny SAM2, and its masks of a clip through the library's own session, for comparison."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Sam2Config, Sam2Model, Sam2VideoInferenceSession, Sam2VideoModel

from litelvlm.models.sam2.sizes import Sam2Sizes, new_sam2

TINY = Sam2Sizes(
    image_size=128,
    width=128,
    hiera_width=8,
    hiera_heads=1,
    blocks=(1, 1, 3, 1),
    global_blocks=(3,),
    windows=(8, 4, 6, 3),
    background=(5, 5),
    memory_layers=1,
    memory_mlp=32,
    decoder_mlp=32,
    iou_width=32,
)


def tiny_sam2(seed: int = 0, object_bias: float = 2.0, sizes: Sam2Sizes = TINY) -> Sam2VideoModel:
    """Weights far enough from zero that masks, scores and memories differ from frame to frame.

    Args:
        seed: Of the weights.
        object_bias: Added to the object score.
        sizes: Of the model.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        sam = new_sam2(sizes)
        for weight in sam.parameters():
            spread = 0.3 if weight.ndim < 2 else min(1.0, 1.2 / weight[0].numel() ** 0.5)
            weight.add_(torch.randn_like(weight) * spread)
        sam.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(object_bias)
    return sam.requires_grad_(False)


def clip_frames(n_frames: int, height: int = 60, width: int = 80) -> list[np.ndarray]:
    """A bright disc that moves over noise, uint8 [height, width, 3]."""
    noise = np.random.default_rng(0).integers(0, 90, (height, width, 3))
    rows, columns = np.mgrid[:height, :width]
    frames = []
    for n in range(n_frames):
        disc = (rows - 25 - n) ** 2 + (columns - 15 - 7 * n) ** 2 < 120
        frames.append(np.where(disc[..., None], [230, 120, 40], noise).astype(np.uint8))
    return frames


def session_masks(
    sam: Sam2VideoModel,
    pixels: Float[Tensor, "f 3 s s"],
    prompts: Sequence[Float[Tensor, "n c"]],
    clicked: bool,
    size: tuple[int, int] = (60, 80),
) -> Float[Tensor, "t f s4 s4"]:
    """Low-resolution logits of one session per prompt, whose tokens a hook adds on frame 0.

    The library's session rounds memories to bfloat16.

    Args:
        sam: The model.
        pixels: Its input.
        prompts: Tokens of each object.
        clicked: Whether frame 0 has an empty click, so that its mask is remembered as 0 or 1.
        size: Height and width of a frame.
    """
    return torch.stack([_one(sam, pixels, tokens, clicked, size) for tokens in prompts])


def _one(
    sam: Sam2VideoModel,
    pixels: Float[Tensor, "f 3 s s"],
    tokens: Float[Tensor, "n c"],
    clicked: bool,
    size: tuple[int, int],
) -> Float[Tensor, "f s4 s4"]:
    height, width = size
    session = Sam2VideoInferenceSession(
        video=pixels, video_height=height, video_width=width, dtype=torch.float32
    )
    place = session.obj_id_to_idx(0)
    session.obj_with_new_inputs = [0]
    if clicked:
        nowhere = {
            "point_coords": torch.zeros(1, 1, 1, 2),
            "point_labels": -torch.ones(1, 1, 1, dtype=torch.int32),
        }
        session.add_point_inputs(place, 0, nowhere)

    def add(_module, _given, out):
        return torch.cat([out[0], tokens[None, None]], 2), out[1]

    hook = sam.prompt_encoder.register_forward_hook(add)
    sam(inference_session=session, frame_idx=0)
    hook.remove()
    session.obj_with_new_inputs = []
    steps = sam.propagate_in_video_iterator(session)
    return torch.stack([step.pred_masks[0, 0] for step in steps])


def image_masks(
    sam: Sam2VideoModel, pixels: Float[Tensor, "f 3 s s"], tokens: Float[Tensor, "t c"]
) -> Float[Tensor, "t f s4 s4"]:
    """Low-resolution logits of each frame by the library's model of images.

    Its weights are those of the model of clips. A hook puts the tokens in place of the click.

    Args:
        sam: The model of clips.
        pixels: Its input.
        tokens: The only prompt of each object.
    """
    video = sam.config
    config = Sam2Config(
        vision_config=video.vision_config,
        prompt_encoder_config=video.prompt_encoder_config.to_dict(),
        mask_decoder_config=video.mask_decoder_config.to_dict(),
    )
    single = Sam2Model._from_config(config, attn_implementation="sdpa").eval()
    state = sam.state_dict()
    single.load_state_dict({name: state[name] for name in single.state_dict()})
    found = []
    for token in tokens:
        hook = single.prompt_encoder.register_forward_hook(
            lambda _module, _given, out, one=token: (one[None, None, None], out[1])
        )
        found.append(
            [single(pixel_values=one[None], multimask_output=False).pred_masks for one in pixels]
        )
        hook.remove()
    return torch.stack([torch.cat(frames)[:, 0, 0] for frames in found])
