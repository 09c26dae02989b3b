"""The Hugging Face CLIP towers as a pair of towers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
    PreTrainedTokenizerBase,
)

from litelvlm.clip.blocks import Block
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.clip.tower import Tower


class HfBlock(Block):
    """A ``CLIPEncoderLayer``."""

    norms, output, mlp_output = ("layer_norm1", "layer_norm2"), "self_attn.out_proj", "mlp.fc2"

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value projections of the states that enter the block."""
        normed, attention = self.normed(1, states), self.module.self_attn
        return attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)


class ClipTower(Tower):
    """A Hugging Face ``CLIPModel`` with its tokenizer, driven block by block.

    Args:
        clip: The two towers and their projections.
        tokenizer: CLIP's own byte-pair tokenizer.
        preprocessing: Crop and normalisation; OpenAI's if not given.

    Source: LiteLVLM and GLaMM official code: stock CLIP towers, second-last layer, CLS dropped.
    """

    def __init__(
        self,
        clip: CLIPModel,
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing or Preprocessing()

    @property
    def vision_config(self) -> CLIPVisionConfig:
        """The image tower's configuration."""
        return cast(CLIPVisionConfig, self.clip.config.vision_config)

    @property
    def text_config(self) -> CLIPTextConfig:
        """The text tower's configuration."""
        return cast(CLIPTextConfig, self.clip.config.text_config)

    @property
    def sizes(self) -> Mapping[str, Mapping[str, object]]:
        """Both configurations."""
        return {
            "vision_config": self.vision_config.to_dict(),
            "text_config": self.text_config.to_dict(),
        }

    @property
    def attention_kernel(self) -> str:
        """Attention kernel that both towers are set to."""
        return str(self.clip.config._attn_implementation)

    @property
    def image_size(self) -> int:
        """Side of the square crop in pixels."""
        return cast(int, self.vision_config.image_size)  # CLIP's sizes are sides of squares

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""
        side = self.image_size // cast(int, self.vision_config.patch_size)
        return side, side

    @property
    def image_blocks(self) -> list[HfBlock]:
        """Blocks of the image tower."""
        return [HfBlock(layer) for layer in self.clip.vision_model.encoder.layers]

    @property
    def n_heads(self) -> int:
        """Heads of the image tower's attention."""
        return int(self.vision_config.num_attention_heads)

    def embed(self, pixel_values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block."""
        vision = self.clip.vision_model
        states: Tensor = vision.pre_layrnorm(vision.embeddings(pixel_values))
        return states

    def embed_resized(self, pixel_values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block; position embeddings are resized (bicubic)."""
        vision = self.clip.vision_model
        embedded = vision.embeddings(pixel_values, interpolate_pos_encoding=True)
        states: Tensor = vision.pre_layrnorm(embedded)
        return states

    def block(self, index: int, hidden_states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run one block of the image tower."""
        out = self.clip.vision_model.encoder.layers[index](hidden_states, None)
        states: Tensor = out[0] if isinstance(out, tuple) else out
        return states

    def project(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final layer norm and visual projection, applied to any states of the image tower."""
        norm = self.clip.vision_model.post_layernorm
        projected: Tensor = self.clip.visual_projection(norm(hidden_states.to(norm.weight.dtype)))
        return projected

    def project_unnormed(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Visual projection without the norm before it."""
        projected: Tensor = self.clip.visual_projection(hidden_states)
        return projected

    @property
    def vocabulary_size(self) -> int:
        """Entries of the text tower's vocabulary."""
        return len(self.tokenizer)

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor, tuple[bool, ...]]:
        """Token ids and mask [T, L], padded to the longest sentence, and what was cut."""
        limit = int(self.text_config.max_position_embeddings)
        lengths = [len(ids) for ids in self.tokenizer(list(sentences))["input_ids"]]
        tokens = self.tokenizer(
            list(sentences),
            padding="longest",
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        )
        device = self.clip.device
        cut = tuple(length > limit for length in lengths)
        return tokens["input_ids"].to(device), tokens["attention_mask"].to(device), cut

    def encode_text(
        self, input_ids: Int[Tensor, "t l"], attention_mask: Int[Tensor, "t l"]
    ) -> tuple[Tensor, Tensor]:
        """Projected [EOS] states [T, P] and the position [T] of the first [EOS]."""
        pooled = self.clip.text_model(
            input_ids=input_ids, attention_mask=attention_mask
        ).pooler_output
        eos = (input_ids == self.tokenizer.eos_token_id).int().argmax(dim=-1)
        return self.clip.text_projection(pooled), eos

    def project_text(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final norm and text projection, applied to any states of the text tower."""
        projected: Tensor = self.clip.text_projection(self.clip.text_model.final_layer_norm(states))
        return projected

    @property
    def text_blocks(self) -> list[HfBlock]:
        """Blocks of the text tower."""
        return [HfBlock(layer) for layer in self.clip.text_model.encoder.layers]

    @property
    def n_text_heads(self) -> int:
        """Heads of the text tower's attention."""
        return int(self.text_config.num_attention_heads)

    def redrawn(self) -> "ClipTower":
        """The same architecture with weights drawn by torch's global generator."""
        clip = type(self.clip)(self.clip.config).eval()
        nn.Module.to(clip, self.device, self.dtype)
        return ClipTower(clip, self.tokenizer, self.preprocessing)


def read_tokenizer(name: str | Path) -> CLIPTokenizer:
    """Read CLIP's byte-pair tokenizer from a folder or a hub id.

    Raises:
        FileNotFoundError: If there is no vocabulary: the library itself would go on with an empty
            one, in which every text is the same.
        ValueError: If a file is damaged.
    """
    try:
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"the tokenizer of the CLIP in {name} is damaged ({str(error)[:200]}); fetch its files "
            "again"
        ) from error
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise FileNotFoundError(
            f"{name} does not contain CLIP's vocabulary: tokenizer.json, or vocab.json with "
            "merges.txt; fetch them again"
        )
    return tokenizer
