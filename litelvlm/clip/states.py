"""States of one image and of sentences: computed once, the later ones when a method reads them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from litelvlm.clip.attention import attention_row
from litelvlm.clip.parts import TowerParts


@dataclass(frozen=True)
class ClipText:
    """What the text tower gives for a batch of sentences.

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
    """The image tower's states up to the input of its last block; later ones come on first use.

    ``states[i]`` is the output of block ``i - 1`` (``states[0]`` the embeddings), CLS first, so
    ``states[-1]`` is what transformers calls ``hidden_states[-2]``: the layer that LLaVA and GLaMM
    read. Towers without a class token (``tower.n_prefix`` 0) hold patches only. A state that the
    family does not have is listed in ``tower.lacks``, and reading it raises a ``ValueError``.
    """

    tower: TowerParts
    states: tuple[Float[Tensor, "b s d"], ...]
    pixel_values: Float[Tensor, "b c h w"]

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
        """Patches in the joint space: ``visual_projection(post_layernorm(patch_tokens))``.

        They are not normalised.
        """
        self.tower.require("patch_embeds")
        return self.tower.project(self.patch_tokens)

    @cached_property
    def last_qkv(
        self,
    ) -> tuple[Float[Tensor, "b s d"], Float[Tensor, "b s d"], Float[Tensor, "b s d"]]:
        """Query, key and value projections of the last block, heads joined, unscaled."""
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
        """Head mean of CLS's attention to patches in the second-last block, CLS itself left out."""
        self.tower.require("cls_attention")
        query, keys = self.tower.placed(*self.penultimate_qk, block=-2)
        return attention_row(query[:, 0], keys, self.tower.n_heads).mean(1)[:, 1:]

    @cached_property
    def keys_mean(self) -> Float[Tensor, "b n e"]:
        """Head mean of the second-last block's patch keys, before any rotary position."""
        keys = self.penultimate_qk[1][:, self.tower.n_prefix :]
        mean: Tensor = keys.unflatten(-1, (self.tower.n_heads, -1)).mean(-2)
        return mean

    @cached_property
    def key_norm(self) -> Float[Tensor, "b n"]:
        """Length of the second-last block's patch keys, heads joined, before any rotary position.

        A rotary position turns a key and keeps its length.
        """
        norm: Tensor = self.penultimate_qk[1][:, self.tower.n_prefix :].float().norm(dim=-1)
        return norm

    @cached_property
    def late_states(self) -> Float[Tensor, "b n d"]:
        """Mean of the patch states over the last third of the layers.

        Of 24 blocks these are the outputs of block 16 and of every later one, counted from 1.
        """
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
        """The family's own image embedding (CLIP: projected CLS, last layer), not normalised."""
        return self.tower.pool(self.last_hidden_state)
