"""InternVideo2's vision encoder: patches of a few frames that attend to each other.

Its parts bear the names of the published weights. What training alone used (the decoders towards
other towers, the pooled projection) and the last block, which is not run, are left out.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from litelvlm.models.configs import PartSizes


@dataclass(frozen=True, kw_only=True)
class InternVideoSizes(PartSizes):
    """Sizes of the encoder; the defaults are those of InternVideo2 stage 2, 1B.

    Attributes:
        image_size: Side of the square input in pixels.
        patch_size: Side of a patch in pixels.
        frames: That are read together.
        hidden_size: Width.
        num_hidden_layers: Blocks of the published weights; one less is run.
        num_attention_heads: Of each block.
        intermediate_size: Width of the MLPs: ``int(hidden_size * 48 / 11)``.
    """

    image_size: int = 224
    patch_size: int = 14
    frames: int = 4
    hidden_size: int = 1408
    num_hidden_layers: int = 40
    num_attention_heads: int = 16
    intermediate_size: int = 6144

    @property
    def grid(self) -> int:
        """Patches along each side of a frame."""
        return self.image_size // self.patch_size


class Norm(nn.Module):
    """Root-mean-square norm, computed in float32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Divide by the root mean square, round to the number type, then scale."""
        whole = states.float()
        normed = whole * torch.rsqrt(whole.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(states.dtype)


class LayerScale(nn.Module):
    """A factor per channel, applied in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Scale."""
        return (states.float() * self.gamma.float()).to(states.dtype)


class Attention(nn.Module):
    """Self-attention whose queries and keys are normed over all heads together."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.q_norm, self.k_norm = Norm(width), Norm(width)

    def forward(self, states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Every token attends to all tokens of its chunk."""
        query, key, value = self.qkv(states).chunk(3, dim=-1)
        parts = (self.q_norm(query), self.k_norm(key), value)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(-2))
        return projected


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Each token by itself."""
        out: Tensor = self.fc2(F.gelu(self.fc1(states)))
        return out


class Block(nn.Module):
    """Attention and MLP, each behind a norm and scaled before it is added."""

    def __init__(self, sizes: InternVideoSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.norm1, self.attn = Norm(width), Attention(width, sizes.num_attention_heads)
        self.norm2, self.mlp = Norm(width), Mlp(width, sizes.intermediate_size)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)

    def forward(self, states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run the block."""
        states = states + self.ls1(self.attn(self.norm1(states)))
        out: Tensor = states + self.ls2(self.mlp(self.norm2(states)))
        return out


class PatchEmbed(nn.Module):
    """Patches of each frame as tokens, frame by frame in raster order."""

    def __init__(self, sizes: InternVideoSizes) -> None:
        super().__init__()
        step = (1, sizes.patch_size, sizes.patch_size)
        self.proj = nn.Conv3d(3, sizes.hidden_size, kernel_size=step, stride=step)

    def forward(self, pixel_values: Float[Tensor, "b f 3 h w"]) -> Float[Tensor, "b s d"]:
        """Embed."""
        embedded: Tensor = self.proj(pixel_values.transpose(1, 2))
        return embedded.flatten(2).transpose(1, 2)


class InternVideo(nn.Module):
    """The encoder up to the output of its second-last block.

    Args:
        sizes: Its sizes.

    Source: VideoGLaMM and InternVideo2, official code.
    """

    def __init__(self, sizes: InternVideoSizes) -> None:
        super().__init__()
        self.sizes = sizes
        n_tokens = 1 + sizes.frames * sizes.grid**2
        self.patch_embed = PatchEmbed(sizes)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.hidden_size))
        self.pos_embed = nn.Parameter(torch.zeros(1, n_tokens, sizes.hidden_size))
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.num_hidden_layers - 1))

    def forward(self, pixel_values: Float[Tensor, "b f 3 h w"]) -> Float[Tensor, "b s d"]:
        """States of chunks of frames: the class token, then the patches frame by frame.

        Args:
            pixel_values: Chunks of ``sizes.frames`` normalised squares.
        """
        patches = self.patch_embed(pixel_values.to(self.pos_embed.dtype))
        states = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        states = states + self.pos_embed
        for block in self.blocks:
            states = block(states)
        return states
