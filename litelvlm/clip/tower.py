"""What every CLIP-like pair of towers gives: states of one image, states of sentences, and how they are reached."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from litelvlm.clip.geometry import Crop, crop_box, padded_box


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
class Preprocessing:
    """How a family turns a picture into the square its image tower reads.

    Attributes:
        mean: Subtracted per channel, of values in [0, 1].
        std: Divided by per channel.
        resize: "shortest" resizes the short side and cuts the centre square; "squash" resizes both
            sides to the square; "pad" resizes the long side and fills the square around it with the
            mean colour.
        resample: Interpolation of the resize.
    """

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    resize: Literal["shortest", "squash", "pad"] = "shortest"
    resample: Literal["bicubic", "bilinear"] = "bicubic"

    def crop(self, height: int, width: int, size: int) -> Crop:
        """What of an image of this size the square of side ``size`` shows; pixels and labels follow the same rule."""
        if self.resize == "squash":
            return Crop(height, width, size, resized_height=size, resized_width=size, top=0, left=0)
        if self.resize == "pad":
            return padded_box(height, width, size)
        return crop_box(height, width, size)

    def __call__(self, image: Image.Image, size: int) -> Float[Tensor, "1 3 size size"]:
        """Resize, cut and normalise.

        Raises:
            ValueError: If the picture is not RGB.
        """
        if image.mode != "RGB":
            raise ValueError(
                f"the picture's mode is {image.mode!r}, not 'RGB'; read it with open_image"
            )
        crop = self.crop(image.height, image.width, size)
        kernel = (
            Image.Resampling.BILINEAR if self.resample == "bilinear" else Image.Resampling.BICUBIC
        )
        resized = image.resize((crop.resized_width, crop.resized_height), kernel)
        red, green, blue = (round(255 * value) for value in self.mean)
        square = Image.new("RGB", (size, size), (red, green, blue))
        square.paste(resized, (-crop.left, -crop.top))
        planes = torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
        normal: Tensor = (planes - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[
            :, None, None
        ]
        return normal[None]


@dataclass(frozen=True)
class ClipText:
    """The text tower's answer for a batch of sentences.

    Attributes:
        input_ids: Token ids [T, L], padded to the longest sentence (to the tower's length where
            padding is read too), truncated at the model's maximum.
        attention_mask: 1 for tokens that take part [T, L].
        text_embeds: Projected states at ``pooled_index`` [T, P], not normalised.
        pooled_index: Position that ``text_embeds`` is read at [T].
        truncated: Which sentences were longer than the tower reads [T].
        no_eos: Why the pooled position is no [EOS]; empty where it is.
    """

    input_ids: Int[Tensor, "t l"]
    attention_mask: Int[Tensor, "t l"]
    text_embeds: Float[Tensor, "t p"]
    pooled_index: Int[Tensor, "t"]
    truncated: tuple[bool, ...]
    no_eos: str = ""

    @property
    def eos_index(self) -> Int[Tensor, "t"]:
        """Position of the first end-of-text token.

        Raises:
            ValueError: If the family does not pool there.
        """
        if self.no_eos:
            raise ValueError(self.no_eos)
        return self.pooled_index


@dataclass(frozen=True)
class ClipImage:
    """The image tower's states up to the input of its last block; everything later is computed when asked for.

    ``states[i]`` is the output of block ``i - 1`` (``states[0]`` the embeddings), CLS first, so
    ``states[-1]`` is what transformers calls ``hidden_states[-2]``: the layer that LLaVA and GLaMM
    read. Towers without a class token (``tower.n_prefix`` 0) hold patches only. A state that the
    family does not have is listed in ``tower.lacks``, and reading it raises a ``ValueError``.
    """

    tower: "Tower"
    states: tuple[Float[Tensor, "b s d"], ...]
    pixel_values: Float[Tensor, "b 3 h w"]

    @property
    def patch_tokens(self) -> Float[Tensor, "b n d"]:
        """Patch states of the second-last layer, raster order, CLS dropped."""
        return self.states[-1][:, self.tower.n_prefix :]

    @property
    def cls_token(self) -> Float[Tensor, "b d"]:
        """CLS state of the second-last layer."""
        self.tower.require("cls_token")
        return self.states[-1][:, 0]

    @cached_property
    def patch_embeds(self) -> Float[Tensor, "b n p"]:
        """Patches carried into the joint space: ``visual_projection(post_layernorm(patch_tokens))``, not normalised."""
        self.tower.require("patch_embeds")
        return self.tower.project(self.patch_tokens)

    @cached_property
    def last_qkv(
        self,
    ) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s d"], Float[Tensor, "b s d"]]:
        """Query, key and value projections of the last block for all positions, heads joined, unscaled."""
        return self.tower.qkv(self.states[-1], block=-1)

    @property
    def query(self) -> Float[Tensor, "b d"]:
        """CLS row of the last block's query projection."""
        self.tower.require("query")
        return self.last_qkv[0][:, 0]

    @property
    def keys(self) -> Float[Tensor, "b n d"]:
        """Patch rows of the last block's key projection."""
        return self.last_qkv[1][:, self.tower.n_prefix :]

    @property
    def cls_key(self) -> Float[Tensor, "b d"]:
        """CLS row of the last block's key projection."""
        self.tower.require("cls_key")
        return self.last_qkv[1][:, 0]

    @property
    def values(self) -> Float[Tensor, "b n d"]:
        """Patch rows of the last block's value projection."""
        return self.last_qkv[2][:, self.tower.n_prefix :]

    @cached_property
    def penultimate_qk(self) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s d"]]:
        """Query and key projections of the block whose output ``patch_tokens`` is."""
        return self.tower.qkv(self.states[-2], block=-2)[:2]

    @cached_property
    def cls_attention(self) -> Float[Tensor, "b n"]:
        """Head mean of the CLS row's attention to patches in the second-last block (CLS itself left out)."""
        self.tower.require("cls_attention")
        query, keys = self.tower.placed(*self.penultimate_qk, block=-2)
        return attention_row(query[:, 0], keys, self.tower.n_heads).mean(1)[:, 1:]

    @cached_property
    def keys_mean(self) -> Float[Tensor, "b n e"]:
        """Head mean of the second-last block's patch keys (projection outputs, before any rotary position)."""
        keys = self.penultimate_qk[1][:, self.tower.n_prefix :]
        mean: Tensor = keys.unflatten(-1, (self.tower.n_heads, -1)).mean(-2)
        return mean

    @cached_property
    def late_states(self) -> Float[Tensor, "b n d"]:
        """Patch states of the last third of the layers (of 24: after block 16 and every later one), mean over them."""
        states = (*self.states, self.last_hidden_state)[2 * self.tower.n_blocks // 3 :]
        return torch.stack(states).float().mean(dim=0)[:, self.tower.n_prefix :]

    @cached_property
    def colours(self) -> Float[Tensor, "b n 3"]:
        """Mean red, green and blue of each patch, 0 to 1."""
        scale = self.tower.preprocessing
        std, mean = (
            self.pixel_values.new_tensor(part)[:, None, None] for part in (scale.std, scale.mean)
        )
        cells = adaptive_avg_pool2d(self.pixel_values * std + mean, self.tower.grid)
        return cells.flatten(2).transpose(1, 2).float().clamp(0, 1)

    @cached_property
    def last_hidden_state(self) -> Float[Tensor, "b s d"]:
        """Output of the last block, CLS first, before the final layer norm."""
        return self.tower.block(-1, self.states[-1])

    @cached_property
    def image_embeds(self) -> Float[Tensor, "b p"]:
        """The family's own image embedding (CLIP: projected CLS of the last layer), not normalised."""
        return self.tower.pool(self.last_hidden_state)


class Tower(nn.Module, ABC):
    """An image and a text tower that share a space, driven block by block.

    Subclasses say how their family embeds, runs, projects and tokenises; what studies and methods
    read is built here.

    Attributes:
        preprocessing: Crop and normalisation of the family.
        family: What error messages call the family.
        lacks: States the family does not have, each with why and what to use instead.
        n_prefix: Tokens before the patches: 1 (CLS) or 0.
    """

    preprocessing: Preprocessing
    family: str = "CLIP"
    lacks: Mapping[str, str] = MappingProxyType({})
    n_prefix: int = 1

    def require(self, state: str) -> None:
        """Refuse a state that the family does not have.

        Raises:
            ValueError: Naming the family, the state, why it is missing and what to use instead.
        """
        if state in self.lacks:
            raise ValueError(f"{self.family} has no {state}: {self.lacks[state]}")

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side of the square crop in pixels."""

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""

    @property
    @abstractmethod
    def n_blocks(self) -> int:
        """Blocks of the image tower."""

    @property
    @abstractmethod
    def n_heads(self) -> int:
        """Heads of the image tower's attention."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        return next(self.parameters()).dtype

    @abstractmethod
    def embed(self, pixel_values: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block."""

    @abstractmethod
    def block(self, index: int, hidden_states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run one block of the image tower."""

    @abstractmethod
    def qkv(
        self, hidden_states: Float[Tensor, "b s d"], block: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value projections of one block for the states entering it: three [b, s, d] tensors."""

    def placed(
        self, query: Float[Tensor, "b s d"], keys: Float[Tensor, "b s d"], block: int
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys as the softmax sees them; families with rotary positions apply them here."""
        return query, keys

    @abstractmethod
    def project(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final layer norm and visual projection, applied to any states of the image tower."""

    def pool(self, last_hidden_state: Float[Tensor, "b s d"]) -> Float[Tensor, "b p"]:
        """The image embedding, from the last block's output."""
        return self.project(last_hidden_state[:, 0])

    @abstractmethod
    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor, tuple[bool, ...]]:
        """Token ids and mask [T, L], truncated at the tower's maximum, and which sentences were cut."""

    @abstractmethod
    def encode_text(
        self, input_ids: Int[Tensor, "t l"], attention_mask: Int[Tensor, "t l"]
    ) -> tuple[Tensor, Tensor]:
        """Projected text states [T, P] and the position [T] they are read at."""

    @property
    @abstractmethod
    def text_layers(self) -> list[nn.Module]:
        """Blocks of the text tower."""

    @property
    @abstractmethod
    def n_text_heads(self) -> int:
        """Heads of the text tower's attention."""

    @abstractmethod
    def text_qk(
        self, layer: nn.Module, hidden_states: Float[Tensor, "t l d"]
    ) -> tuple[Tensor, Tensor]:
        """Query and key projections of one text block for the states entering it."""

    def pixel_values(self, image: Image.Image) -> Float[Tensor, "1 3 h w"]:
        """One RGB picture as this family crops and normalises it, on the tower's device and in its number type."""
        return self.preprocessing(image, self.image_size).to(self.device, self.dtype)

    def image(self, pixel_values: Float[Tensor, "b 3 h w"]) -> ClipImage:
        """Run the image tower up to the input of its last block.

        Args:
            pixel_values: Normalised square crops of side ``image_size``.
        """
        states = [self.embed(pixel_values)]
        for index in range(self.n_blocks - 1):
            states.append(self.block(index, states[-1]))
        return ClipImage(self, tuple(states), pixel_values)

    def text(self, sentences: Sequence[str]) -> ClipText:
        """Run the text tower.

        Args:
            sentences: T sentences (an empty one is just [SOS][EOS]); those longer than the tower
                reads are truncated as CLIP does and marked in ``truncated``.

        Raises:
            ValueError: If there is no sentence.
        """
        if not sentences:
            raise ValueError("the text tower needs at least one sentence, got none")
        input_ids, attention_mask, truncated = self.tokenize(sentences)
        text_embeds, index = self.encode_text(input_ids, attention_mask)
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
        layers = self.text_layers
        with capture_inputs(layers) as inputs:
            text = self.text(sentences)
        positions = torch.arange(text.input_ids.shape[1], device=text.eos_index.device)
        rows = []
        for layer, hidden_states in zip(layers, inputs, strict=True):
            query, keys = self.text_qk(layer, hidden_states)
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
