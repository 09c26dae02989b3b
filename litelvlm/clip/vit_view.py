"""One image in the tower, as methods that merge tokens between blocks see it."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, scaled_dot_product_attention

from litelvlm.clip.states import ClipImage
from litelvlm.pruning.vit import VitView


class ClipVitView(VitView):
    """One image, from its embeddings on.

    Args:
        image: The tower's states of a batch of one.

    Raises:
        ValueError: If tokens cannot be merged inside this family's tower.
    """

    def __init__(self, image: ClipImage) -> None:
        image.tower.require("token_merging")
        self.tower, self.image = image.tower, image
        self.n_blocks = image.tower.n_blocks - 1

    def embed(self) -> Float[Tensor, "s d"]:
        """States that enter the first block."""
        return self.image.states[0][0]

    def embed_at(self, shape: tuple[int, int]) -> Float[Tensor, "s d"]:
        """States that enter the first block for the image made smaller, bicubic and antialiased.

        The crop that the tower sees is made smaller, not the picture it was taken from.
        """
        pixels = self.image.pixel_values
        size = [
            count * side // whole
            for count, side, whole in zip(shape, pixels.shape[-2:], self.tower.grid, strict=True)
        ]
        small = interpolate(pixels.float(), size, mode="bicubic", antialias=True)
        return self.tower.embed_resized(small.to(pixels.dtype))[0]

    def attend(
        self, block: int, states: Float[Tensor, "s d"], bias: Float[Tensor, "s"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s e"]]:
        """States after the attention and its residual, and the keys, mean over heads."""
        layer = self.tower.image_blocks[block]
        q, k, v = (
            part.unflatten(-1, (self.tower.n_heads, -1)).transpose(1, 2)
            for part in layer.qkv(states[None])
        )
        mask = bias.to(q.dtype).expand(1, 1, len(states), -1)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        return states + layer.attention_output(mixed)[0], k[0].mean(dim=0)

    def feed(self, block: int, states: Float[Tensor, "s d"]) -> Float[Tensor, "s d"]:
        """States after the MLP and its residual."""
        return states + self.tower.image_blocks[block].feed_forward(states)
