"""Sizes of the miniature VideoGLaMM, and its parts before training."""

from dataclasses import asdict
from typing import cast

import torch
from torch import nn
from transformers import Sam2VideoModel

from litelvlm.data.worlds.moving.objects import ENTERS, FRAMES, LEAVES, MOTIONS
from litelvlm.models.sam2.sizes import Sam2Sizes, new_sam2
from litelvlm.models.video_glamm.config import MODEL_TYPE
from litelvlm.models.video_glamm.internvideo import InternVideo, InternVideoSizes, LayerScale
from litelvlm.training.clip_parts import sines
from litelvlm.training.glamm.sizes import VISION_WIDTH

WIDTH = 192
"""Of the language model, as in the miniature GLaMM, from whose weights it starts."""
SAM2 = Sam2Sizes(
    image_size=128,
    width=128,
    hiera_width=32,
    hiera_heads=1,
    blocks=(1, 2, 4, 1),
    global_blocks=(6,),
    windows=(8, 4, 8, 4),
    background=(4, 4),
    memory_layers=2,
    memory_mlp=256,
    decoder_mlp=256,
    iou_width=64,
    version="2.1",
)
VIDEO = InternVideoSizes(
    image_size=112,
    patch_size=14,
    frames=4,
    hidden_size=128,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=512,
)
WORDS = sorted({word for text in (*MOTIONS, ENTERS, LEAVES, "first") for word in text.split()})
"""Of motion and order; no caption of the miniature's CLIP holds most of them."""
WINDOW = 511
"""``sliding_window``: as in the published model it covers 8 frames, and not all of 16."""


def config(vocab_size: int, ends: int) -> dict[str, object]:
    """The content of ``config.json``.

    Args:
        vocab_size: Tokens, [SEG] included.
        ends: Token that ends an answer.
    """
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["VideoGPTPlusPhi3ForCausalLM"],
        "vocab_size": vocab_size,
        "hidden_size": WIDTH,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "rms_norm_eps": 1e-5,
        "sliding_window": WINDOW,
        "num_frames": FRAMES,
        "words": WORDS,
        "max_position_embeddings": 2048,
        "original_max_position_embeddings": 2048,
        "bos_token_id": 1,
        "eos_token_id": ends,
        "pad_token_id": ends,
        "mm_hidden_size": VIDEO.hidden_size,
        "mm_projector_type": "linear",
        "image_mm_hidden_size": VISION_WIDTH,
        "image_mm_projector_type": "mlp2x_gelu",
        "image_mm_vision_tower": "clip",
        "mm_use_im_start_end": False,
        "out_dim": SAM2.width,
        "internvideo": asdict(VIDEO),
        "sam2": asdict(SAM2),
    }


def new_video_tower() -> InternVideo:
    """An untrained video tower with sine positions, whose blocks count from the start.

    The published tower begins with blocks that add nearly nothing, which needs long training.
    """
    tower = InternVideo(VIDEO)
    grid = sines(VIDEO.grid, VIDEO.hidden_size)
    with torch.no_grad():
        tower.pos_embed[0, 1:] = 0.5 * grid.repeat(VIDEO.frames, 1)
        for number in range(VIDEO.frames):
            own = slice(1 + number * len(grid), 1 + (number + 1) * len(grid))
            tower.pos_embed[0, own] += 0.5 * torch.randn(VIDEO.hidden_size)
        for part in tower.modules():
            if isinstance(part, LayerScale):
                nn.init.ones_(part.gamma)
    return tower


def new_sam() -> Sam2VideoModel:
    """An untrained SAM2; its point encoding has unit scale and stays as drawn.

    The library's spread is meant for larger widths. Matrices are drawn at the inverse root of their
    inputs here, and embeddings at one half.
    """
    sam = new_sam2(SAM2)
    for part in sam.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            over = part.weight.shape[0] if isinstance(part, nn.ConvTranspose2d) else None
            nn.init.normal_(part.weight, std=(over or part.weight[0].numel()) ** -0.5)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.5)
    # Image tokens must not drown the positions that a point is matched with.
    for part in sam.vision_encoder.neck.convs:
        nn.init.normal_(part.weight, std=0.3 * part.weight.shape[1] ** -0.5)
    for part in sam.mask_decoder.output_hypernetworks_mlps:
        last = cast(nn.Linear, part.proj_out).weight
        nn.init.normal_(last, std=0.3 * last.shape[1] ** -0.5)
    # Queries and keys start equal, so that a point finds its place by its position. Otherwise all
    # objects of a frame are drawn for any point, and training stays there.
    for name, part in sam.mask_decoder.transformer.named_modules():
        if "image" in name.rsplit(".", 1)[-1]:
            with torch.no_grad():
                part.q_proj.weight *= 1.5
                part.k_proj.weight.copy_(part.q_proj.weight)
    backbone = sam.vision_encoder.backbone
    for places in (backbone.pos_embed, backbone.pos_embed_window):
        nn.init.normal_(places, std=0.2)
    matrix = torch.randn_like(sam.shared_image_embedding.positional_embedding)
    for encoding in (sam.shared_image_embedding, sam.prompt_encoder.shared_embedding):
        with torch.no_grad():
            encoding.positional_embedding.copy_(matrix)
        encoding.positional_embedding.requires_grad_(False)
    return sam
