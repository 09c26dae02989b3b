"""The blocks of a Hugging Face CLIP tower, image or text."""

from jaxtyping import Float
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from litelvlm.clip.blocks import TextBlock


class HfBlock(TextBlock):
    """A ``CLIPEncoderLayer``."""

    module: CLIPEncoderLayer

    def __init__(self, module: CLIPEncoderLayer) -> None:
        self.module = module

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value projections of the states that enter the block."""
        normed, attention = self.module.layer_norm1(states), self.module.self_attn
        return attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)

    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states."""
        added: Tensor = self.module.self_attn.out_proj(mixed)
        return added

    def feed_forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the MLP adds to ``states``."""
        added: Tensor = self.module.mlp(self.module.layer_norm2(states))
        return added

    @property
    def mlp_output_layer(self) -> nn.Module:
        """The MLP's second linear map."""
        layer: nn.Module = self.module.mlp.fc2
        return layer

    @property
    def output_weight(self) -> Float[Tensor, "d d"]:
        """Matrix of the output projection."""
        weight: Tensor = self.module.self_attn.out_proj.weight
        return weight
