"""The two branches of a transformer block, apart: what attention adds for given mixtures of values, and what the MLP.

They let a probe replace the mixture and keep everything else of the block, in either tower of every
known family.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


def image_layers(tower: Any) -> list[nn.Module]:
    """Blocks of the image tower."""
    return list(
        tower.trunk.blocks if hasattr(tower, "trunk") else tower.clip.vision_model.encoder.layers
    )


def attention_output(layer: Any, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """What a block's attention adds to its states when its heads, joined, give ``mixed``."""
    added: Tensor
    if hasattr(layer, "self_attn"):  # Hugging Face
        added = layer.self_attn.out_proj(mixed)
    elif hasattr(layer, "ln_1"):  # open_clip's own
        added = layer.ls_1(layer.attn.out_proj(mixed))
    else:  # timm
        added = _scaled(layer, 1, layer.attn.proj(layer.attn.norm(mixed)))
    return added


def feed_forward(layer: Any, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """What a block's MLP adds to ``states``, norm included."""
    added: Tensor
    if hasattr(layer, "self_attn"):
        added = layer.mlp(layer.layer_norm2(states))
    elif hasattr(layer, "ln_1"):
        added = layer.ls_2(layer.mlp(layer.ln_2(states)))
    elif _normalises_after(layer):
        added = layer.norm2(layer.mlp(states))
    else:
        added = _scaled(layer, 2, layer.mlp(layer.norm2(states)))
    return added


def mlp_output_layer(layer: Any) -> nn.Module:
    """The MLP's second linear map, whose input are the activations of its neurons."""
    mlp = layer.mlp
    found: nn.Module = mlp.c_proj if hasattr(mlp, "c_proj") else mlp.fc2
    return found


def text_values(layer: Any, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Value projection of a text block for the states entering it."""
    values: Tensor
    if hasattr(layer, "self_attn"):
        values = layer.self_attn.v_proj(layer.layer_norm1(hidden_states))
    else:
        joint = nn.functional.linear(
            layer.ln_1(hidden_states), layer.attn.in_proj_weight, layer.attn.in_proj_bias
        )
        values = joint.chunk(3, dim=-1)[2]
    return values


def output_weight(layer: Any) -> Float[Tensor, "d d"]:
    """Matrix of a text block's output projection, [out, in]; the input's columns are the heads, joined."""
    weight: Tensor = (
        layer.self_attn if hasattr(layer, "self_attn") else layer.attn
    ).out_proj.weight
    return weight


def _normalises_after(layer: Any) -> bool:
    return type(layer).__name__ == "EvaBlockPostNorm"


def _scaled(layer: Any, number: int, added: Tensor) -> Tensor:
    """A timm block's own scaling, or norm, of what a branch adds."""
    result: Tensor = added
    if _normalises_after(layer):
        result = getattr(layer, f"norm{number}")(added)
    elif getattr(layer, f"gamma_{number}", None) is not None:
        result = added * getattr(layer, f"gamma_{number}")
    elif hasattr(layer, f"ls{number}"):
        result = getattr(layer, f"ls{number}")(added)
    return result
