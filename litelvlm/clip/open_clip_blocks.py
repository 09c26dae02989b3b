"""The blocks of open_clip's towers: its own, image or text, and those of timm's image towers."""

from typing import Any

import torch
from jaxtyping import Float
from open_clip.transformer import ResidualAttentionBlock
from timm.models import eva
from torch import Tensor, nn
from torch.nn import functional

from litelvlm.clip.blocks import Block, TextBlock


class NativeBlock(TextBlock):
    """open_clip's own ``ResidualAttentionBlock``."""

    module: ResidualAttentionBlock

    def __init__(self, module: ResidualAttentionBlock) -> None:
        self.module = module

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Thirds of the block's joint projection."""
        attn = self.module.attn
        normed = self.module.ln_1(states)
        joint = functional.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
        query, keys, values = joint.chunk(3, dim=-1)
        return query, keys, values

    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states."""
        added: Tensor = self.module.ls_1(self.module.attn.out_proj(mixed))
        return added

    def feed_forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the MLP adds to ``states``."""
        added: Tensor = self.module.ls_2(self.module.mlp(self.module.ln_2(states)))
        return added

    @property
    def mlp_output_layer(self) -> nn.Module:
        """The MLP's second linear map."""
        layer: nn.Module = self.module.mlp.c_proj
        return layer

    @property
    def output_weight(self) -> Float[Tensor, "d d"]:
        """Matrix of the output projection."""
        weight: Tensor = self.module.attn.out_proj.weight
        return weight


class TimmBlock(Block):
    """A block of timm's ``Eva`` or ``VisionTransformer``.

    Args:
        module: An ``EvaBlock``, ``EvaBlockPostNorm`` or ``Block``, whose parts timm does not type.
    """

    module: Any  # type: ignore[explicit-any]  # timm does not type its parts

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.norm_follows = isinstance(module, eva.EvaBlockPostNorm)

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Joint or separate projections; blocks whose norm follows project what enters them."""
        attn = self.module.attn
        normed = states if self.norm_follows else self.module.norm1(states)
        if attn.qkv is None:
            return attn.q_proj(normed), attn.k_proj(normed), attn.v_proj(normed)
        bias = attn.qkv.bias
        if bias is None and getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        query, keys, values = functional.linear(normed, attn.qkv.weight, bias).chunk(3, dim=-1)
        return query, keys, values

    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states."""
        attn = self.module.attn
        return self._scaled(1, attn.proj(attn.norm(mixed)))

    def feed_forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the MLP adds to ``states``."""
        normed = states if self.norm_follows else self.module.norm2(states)
        return self._scaled(2, self.module.mlp(normed))

    @property
    def mlp_output_layer(self) -> nn.Module:
        """The MLP's second linear map."""
        layer: nn.Module = self.module.mlp.fc2
        return layer

    def _scaled(self, branch: int, added: Tensor) -> Tensor:
        """Apply the block's own norm or scale to what a branch (1 attention, 2 MLP) adds."""
        scaled: Tensor = added
        if self.norm_follows:
            scaled = getattr(self.module, f"norm{branch}")(added)
        elif getattr(self.module, f"gamma_{branch}", None) is not None:
            scaled = added * getattr(self.module, f"gamma_{branch}")
        elif hasattr(self.module, f"ls{branch}"):
            scaled = getattr(self.module, f"ls{branch}")(added)
        return scaled
