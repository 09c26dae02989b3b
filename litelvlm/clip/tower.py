"""CLIP's two towers, run once per image and per text, with every state that a pruning method may ask for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerBase


def attention_row(
    query: Float[Tensor, "b d"],
    keys: Float[Tensor, "b s d"],
    n_heads: int,
    hidden: Bool[Tensor, "b s"] | None = None,
) -> Float[Tensor, "b h s"]:
    """Softmax attention of one position over all keys, per head, without the full attention map.

    Args:
        query: Output of the query projection for the one position.
        keys: Outputs of the key projection for all positions.
        n_heads: Heads the width is split into.
        hidden: Keys this position may not see.

    Returns:
        Weights in [0, 1], each head's row summing to 1, in float32.
    """
    q = query.float().unflatten(-1, (n_heads, -1))
    k = keys.float().unflatten(-1, (n_heads, -1))
    logits = torch.einsum("bhe,bshe->bhs", q, k) * q.shape[-1] ** -0.5
    if hidden is not None:
        logits = logits.masked_fill(hidden[:, None], float("-inf"))
    weights: Tensor = logits.softmax(dim=-1)
    return weights


@dataclass(frozen=True)
class ClipText:
    """The text tower's answer for a batch of sentences.

    Attributes:
        input_ids: Token ids [T, L], padded to the longest sentence, truncated at the model's maximum.
        attention_mask: 1 for real tokens [T, L].
        text_embeds: Projected [EOS] states [T, P], not normalised.
        eos_index: Position of the first end-of-text token [T].
        truncated: Which sentences were longer than the tower reads [T].
    """

    input_ids: Int[Tensor, "t l"]
    attention_mask: Int[Tensor, "t l"]
    text_embeds: Float[Tensor, "t p"]
    eos_index: Int[Tensor, "t"]
    truncated: tuple[bool, ...]


@dataclass(frozen=True)
class ClipImage:
    """The image tower's states up to the input of its last block; everything later is computed when asked for.

    ``states[i]`` is the output of block ``i - 1`` (``states[0]`` the embeddings), CLS first, so ``states[-1]`` is
    what transformers calls ``hidden_states[-2]``: the layer that LLaVA and GLaMM read.
    """

    tower: "ClipTower"
    states: tuple[Float[Tensor, "b s d"], ...]

    @property
    def patch_tokens(self) -> Float[Tensor, "b n d"]:
        """Patch states of the second-last layer, raster order, CLS dropped."""
        return self.states[-1][:, 1:]

    @property
    def cls_token(self) -> Float[Tensor, "b d"]:
        """CLS state of the second-last layer."""
        return self.states[-1][:, 0]

    @cached_property
    def patch_embeds(self) -> Float[Tensor, "b n p"]:
        """Patches carried into the joint space: ``visual_projection(post_layernorm(patch_tokens))``, not normalised."""
        return self.tower.project(self.patch_tokens)

    @cached_property
    def last_qkv(self) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s d"], Float[Tensor, "b s d"]]:
        """Query, key and value projections of the last block for all positions, heads joined, unscaled."""
        return self.tower.qkv(self.states[-1], block=-1)

    @property
    def query(self) -> Float[Tensor, "b d"]:
        """CLS row of the last block's query projection."""
        return self.last_qkv[0][:, 0]

    @property
    def keys(self) -> Float[Tensor, "b n d"]:
        """Patch rows of the last block's key projection."""
        return self.last_qkv[1][:, 1:]

    @property
    def cls_key(self) -> Float[Tensor, "b d"]:
        """CLS row of the last block's key projection."""
        return self.last_qkv[1][:, 0]

    @property
    def values(self) -> Float[Tensor, "b n d"]:
        """Patch rows of the last block's value projection."""
        return self.last_qkv[2][:, 1:]

    @cached_property
    def penultimate_qk(self) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s d"]]:
        """Query and key projections of the block whose output ``patch_tokens`` is."""
        return self.tower.qkv(self.states[-2], block=-2)[:2]

    @cached_property
    def cls_attention(self) -> Float[Tensor, "b n"]:
        """Head mean of the CLS row's attention to patches in the second-last block (CLS itself left out)."""
        query, keys = self.penultimate_qk
        return attention_row(query[:, 0], keys, self.tower.vision_config.num_attention_heads).mean(1)[:, 1:]

    @cached_property
    def keys_mean(self) -> Float[Tensor, "b n e"]:
        """Head mean of the second-last block's patch keys."""
        keys = self.penultimate_qk[1][:, 1:]
        mean: Tensor = keys.unflatten(-1, (self.tower.vision_config.num_attention_heads, -1)).mean(-2)
        return mean

    @cached_property
    def last_hidden_state(self) -> Float[Tensor, "b s d"]:
        """Output of the last block, CLS first, before the final layer norm."""
        return self.tower.block(-1, self.states[-1])

    @cached_property
    def image_embeds(self) -> Float[Tensor, "b p"]:
        """CLIP's own image embedding (projected CLS of the last layer), not normalised."""
        return self.tower.project(self.last_hidden_state[:, 0])


class ClipTower(nn.Module):
    """A Hugging Face ``CLIPModel`` with its tokenizer, driven block by block.

    Args:
        clip: The two towers and their projections.
        tokenizer: CLIP's own byte-pair tokenizer.

    Source: LiteLVLM and GLaMM official code: stock CLIP towers, second-last layer, CLS dropped.
    """

    def __init__(self, clip: CLIPModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer

    @property
    def vision_config(self) -> Any:
        """The image tower's configuration."""
        return self.clip.config.vision_config

    @property
    def text_config(self) -> Any:
        """The text tower's configuration."""
        return self.clip.config.text_config

    @property
    def image_size(self) -> int:
        """Side of the square crop in pixels."""
        return int(self.vision_config.image_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""
        side = self.image_size // int(self.vision_config.patch_size)
        return side, side

    def block(self, index: int, hidden_states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run one block of the image tower."""
        out = self.clip.vision_model.encoder.layers[index](hidden_states, None)
        states: Tensor = out[0] if isinstance(out, tuple) else out
        return states

    def qkv(self, hidden_states: Float[Tensor, "b s d"], block: int) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value projections of one block for the states entering it: three [b, s, d] tensors."""
        layer = self.clip.vision_model.encoder.layers[block]
        normed = layer.layer_norm1(hidden_states)
        return layer.self_attn.q_proj(normed), layer.self_attn.k_proj(normed), layer.self_attn.v_proj(normed)

    def project(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final layer norm and visual projection, applied to any states of the image tower."""
        norm = self.clip.vision_model.post_layernorm
        projected: Tensor = self.clip.visual_projection(norm(hidden_states.to(norm.weight.dtype)))
        return projected

    def image(self, pixel_values: Float[Tensor, "b 3 h w"]) -> ClipImage:
        """Run the image tower up to the input of its last block.

        Args:
            pixel_values: Normalised square crops of side ``image_size``.
        """
        vision = self.clip.vision_model
        hidden_states = vision.pre_layrnorm(vision.embeddings(pixel_values))
        states = [hidden_states]
        for index in range(len(vision.encoder.layers) - 1):
            states.append(self.block(index, states[-1]))
        return ClipImage(self, tuple(states))

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor, tuple[bool, ...]]:
        """Token ids and mask [T, L], padded to the longest and truncated at the tower's maximum, and what was cut."""
        limit = int(self.text_config.max_position_embeddings)
        lengths = [len(ids) for ids in self.tokenizer(list(sentences))["input_ids"]]
        tokens = self.tokenizer(
            list(sentences), padding="longest", truncation=True, max_length=limit, return_tensors="pt"
        )
        device = self.clip.device
        cut = tuple(length > limit for length in lengths)
        return tokens["input_ids"].to(device), tokens["attention_mask"].to(device), cut

    def text(self, sentences: Sequence[str]) -> ClipText:
        """Run the text tower.

        Args:
            sentences: T sentences (an empty one is just [SOS][EOS]); those longer than the tower reads are truncated
                as CLIP does and marked in ``truncated``.

        Raises:
            ValueError: If there is no sentence.
        """
        if not sentences:
            raise ValueError("the text tower needs at least one sentence, got none")
        input_ids, attention_mask, truncated = self.tokenize(sentences)
        pooled = self.clip.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        eos = (input_ids == self.tokenizer.eos_token_id).int().argmax(dim=-1)
        return ClipText(input_ids, attention_mask, self.clip.text_projection(pooled), eos, truncated)

    def text_attention(self, sentences: Sequence[str]) -> tuple[ClipText, Float[Tensor, "layers t heads l"]]:
        """Attention of each sentence's [EOS] over its tokens, for every layer and head.

        Only the [EOS] row is computed, so the attention implementation stays as it is. Keys after [EOS] get 0.

        Returns:
            The text states and the weights; each row sums to 1 over positions 0 to ``eos_index``.
        """
        layers = list(self.clip.text_model.encoder.layers)
        with capture_inputs(layers) as inputs:
            text = self.text(sentences)
        positions = torch.arange(text.input_ids.shape[1], device=text.eos_index.device)
        rows = []
        for layer, hidden_states in zip(layers, inputs, strict=True):
            normed = layer.layer_norm1(hidden_states)
            query = layer.self_attn.q_proj(normed[torch.arange(len(normed)), text.eos_index])
            keys = layer.self_attn.k_proj(normed)
            heads = int(self.text_config.num_attention_heads)
            rows.append(attention_row(query, keys, heads, hidden=positions[None] > text.eos_index[:, None]))
        return text, torch.stack(rows)


@contextmanager
def capture_inputs(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the hidden states that enter each of ``layers`` while the block runs; no hook outlives it."""
    inputs: list[Tensor] = []

    def remember(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    handles = [layer.register_forward_pre_hook(remember, with_kwargs=True) for layer in layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()
