"""CLIP's image tower as the first stage trains it: the same function, with less to compute.

The last block is run for CLS alone, since its patches are read nowhere; queries, keys and values
are one product; and pixels are normalised where they are used. On one thread a step takes 0.69 of
the library's time, compiled 0.58 (``benchmarks/training_step.py``).
"""

import shutil
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from transformers import CLIPModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer, CLIPVisionEmbeddings

from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD

_REPAID = 200  # steps after which compiling has paid
Read = Callable[[CLIPModel, Tensor], tuple[Tensor, Tensor]]


def read_images(
    clip: CLIPModel, pixels: UInt8[Tensor, "b h w 3"]
) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b p"]]:
    """Patches that enter the last block, and the projected CLS of each image.

    Args:
        clip: Both towers.
        pixels: Square crops of the tower's size, 0 to 255.
    """
    vision = clip.vision_model
    states = vision.pre_layrnorm(_embed(vision.embeddings, pixels))
    *blocks, last = vision.encoder.layers
    for block in blocks:
        states = _block(block, states, states)
    cls = _block(last, states, states[:, :1])[:, 0]
    return states[:, 1:], clip.visual_projection(vision.post_layernorm(cls))


def image_reader(steps: int) -> Read:
    """``read_images``, compiled where there is a C++ compiler and the steps repay the minute."""
    if steps < _REPAID or shutil.which("g++") is None:
        return read_images
    compiled: Read = torch.compile(read_images, dynamic=False)
    return compiled


def _embed(embeddings: CLIPVisionEmbeddings, pixels: Tensor) -> Tensor:
    """CLS and patches with their places; the convolution is a product, since patches are apart."""
    kernel = embeddings.get_parameter("patch_embedding.weight")  # [D, 3, P, P]
    count, patch = len(pixels), kernel.shape[-1]
    grid = pixels.shape[1] // patch
    mean, std = (torch.tensor(v, device=pixels.device) for v in (CLIP_MEAN, CLIP_STD))
    normalised = ((pixels.float() / 255 - mean) / std).to(kernel.dtype)
    cells = normalised.reshape(count, grid, patch, grid, patch, 3).permute(0, 1, 3, 5, 2, 4)
    patches = F.linear(cells.reshape(count, grid * grid, -1), kernel.flatten(1))
    cls = embeddings.get_parameter("class_embedding").expand(count, 1, -1)
    places = embeddings.get_parameter("position_embedding.weight")
    return torch.cat([cls, patches], dim=1) + places


def _block(block: CLIPEncoderLayer, states: Tensor, asking: Tensor) -> Tensor:
    """What a block makes of ``asking``, the first of its states, which attend to all of them."""
    attention = block.self_attn
    parts = [attention.q_proj, attention.k_proj, attention.v_proj]
    normed = block.layer_norm1(states)

    def heads(some: Tensor) -> Tensor:
        split: Tensor = some.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        return split

    if asking is states:
        weight, bias = (torch.cat([getattr(p, n) for p in parts]) for n in ("weight", "bias"))
        query, key, value = F.linear(normed, weight, bias).chunk(3, dim=-1)
    else:
        query, key, value = (
            parts[0](normed[:, : asking.shape[1]]),
            parts[1](normed),
            parts[2](normed),
        )
    query, key, value = heads(query * attention.scale), heads(key), heads(value)
    weights = torch.softmax(query @ key.transpose(-1, -2), dim=-1, dtype=torch.float32)
    mixed = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(-2)
    states = asking + attention.out_proj(mixed)
    added: Tensor = block.mlp(block.layer_norm2(states))
    return states + added
