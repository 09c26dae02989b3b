"""A CLIP-like pair of towers: one image tower and one text tower that share a space."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from litelvlm.clip.attention import attention_row, capture_inputs
from litelvlm.clip.parts import TowerParts
from litelvlm.clip.states import ClipImage, ClipText
from litelvlm.finite import require_finite


class Tower(TowerParts):
    """An image and a text tower that share a space, driven block by block.

    A family gives the parts; what studies and methods read is built here.
    """

    @property
    def sizes(self) -> Mapping[str, Mapping[str, object]]:
        """Sizes of "vision_config" and "text_config" by the names that transformers gives them.

        Empty for a tower that is not a CLIP of transformers.
        """
        return {}

    @property
    def attention_kernel(self) -> str:
        """Attention kernel that both towers are set to; "unknown" where they do not say."""
        return "unknown"

    def redrawn(self) -> "Tower | None":
        """The same architecture with weights drawn by torch's global generator.

        None where only the model's name leads to another copy.
        """
        return None

    def pixel_values(self, image: Image.Image) -> Float[Tensor, "1 3 h w"]:
        """Crop and normalise one RGB picture, on the tower's device and in its number type."""
        return self.preprocessing(image, self.image_size).to(self.device, self.dtype)

    def image(self, pixel_values: Float[Tensor, "b c h w"]) -> ClipImage:
        """Run the image tower up to the input of its last block.

        Args:
            pixel_values: Normalised square crops of side ``image_size``.

        Raises:
            ValueError: If a state is NaN or infinite.
        """
        states = self.image_states(pixel_values)
        require_finite(states[-1], "CLIP's state of the image")
        return ClipImage(self, states, pixel_values)

    def image_states(
        self, pixel_values: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b s d"], ...]:
        """States that enter each block of the image tower."""
        states = [self.embed(pixel_values)]
        for index in range(self.n_blocks - 1):
            states.append(self.block(index, states[-1]))
        return tuple(states)

    def text(self, sentences: Sequence[str]) -> ClipText:
        """Run the text tower.

        Args:
            sentences: T sentences (an empty one is just [SOS][EOS]); those longer than the tower
                reads are truncated as CLIP does and marked in ``truncated``.

        Raises:
            ValueError: If there is no sentence, or an embedding is NaN or infinite.
        """
        if not sentences:
            raise ValueError("the text tower needs at least one sentence, got none")
        input_ids, attention_mask, truncated = self.tokenize(sentences)
        text_embeds, index = self.encode_text(input_ids, attention_mask)
        for sentence, embedding in zip(sentences, text_embeds, strict=True):
            require_finite(embedding, f"CLIP's text embedding of {sentence!r}")
        missing = self.lacks.get("eos_index")
        no_eos = f"{self.family} has no eos_index: {missing}" if missing else ""
        return ClipText(input_ids, attention_mask, text_embeds, index, truncated, no_eos)

    def text_attention(
        self, sentences: Sequence[str]
    ) -> tuple[ClipText, Float[Tensor, "layers t heads l"]]:
        """Attention of each sentence's [EOS] over its tokens, for every layer and head.

        Only the [EOS] row is computed, so the attention implementation stays as it is. Keys after
        [EOS] get 0.

        Returns:
            The text states and the weights; each row sums to 1 over positions 0 to ``eos_index``.

        Raises:
            ValueError: If there is no sentence, or the family's text tower is not causal.
        """
        self.require("text_attention")
        blocks = self.text_blocks
        with capture_inputs([block.module for block in blocks]) as inputs:
            text = self.text(sentences)
        positions = torch.arange(text.input_ids.shape[1], device=text.eos_index.device)
        rows = []
        for block, hidden_states in zip(blocks, inputs, strict=True):
            query, keys, _ = block.qkv(hidden_states)
            at_eos = query[torch.arange(len(query)), text.eos_index]
            rows.append(
                attention_row(
                    at_eos,
                    keys,
                    self.n_text_heads,
                    hidden=positions[None] > text.eos_index[:, None],
                )
            )
        return text, torch.stack(rows)
