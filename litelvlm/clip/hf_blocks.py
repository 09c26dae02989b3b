"""The blocks of a Hugging Face CLIP image tower, each cut between attention and MLP."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage
from litelvlm.pruning.vit import VitView


class ClipHalves(VitView):
    """One image of a batch, from its embeddings on.

    Args:
        image: The tower's states.
        row: Which image of the batch.

    Raises:
        ValueError: If the tower is of another family.
    """

    def __init__(self, image: ClipImage, row: int = 0) -> None:
        if not isinstance(image.tower, ClipTower):
            raise ValueError(
                f"tokens can be merged inside a Hugging Face CLIP tower only, not inside {image.tower.family}; "
                "choose a method of another stage"
            )
        self.tower, self.image, self.row = image.tower, image, row
        self.layers = image.tower.clip.vision_model.encoder.layers
        self.n_blocks = image.tower.n_blocks - 1

    def embed(self) -> Float[Tensor, "s d"]:
        """States that enter the first block."""
        return self.image.states[0][self.row]

    def attend(
        self, block: int, states: Float[Tensor, "s d"], bias: Float[Tensor, "s"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s e"]]:
        """States after the attention and its residual, and the keys, mean over heads."""
        q, k, v = (
            part.unflatten(-1, (self.tower.n_heads, -1)).transpose(1, 2)
            for part in self.tower.qkv(states[None], block)
        )
        mask = bias.to(q.dtype).expand(1, 1, len(states), -1)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        added: Tensor = self.layers[block].self_attn.out_proj(mixed)[0]
        return states + added, k[0].mean(dim=0)

    def feed(self, block: int, states: Float[Tensor, "s d"]) -> Float[Tensor, "s d"]:
        """States after the MLP and its residual."""
        layer = self.layers[block]
        added: Tensor = layer.mlp(layer.layer_norm2(states))
        return states + added
