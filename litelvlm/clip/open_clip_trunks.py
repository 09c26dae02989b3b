"""The towers of open_clip, block by block: its own ViT and text, and timm's EVA and SigLIP."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, VisionTransformer
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models import eva, vision_transformer
from torch import Tensor, nn
from torch.nn import functional

from litelvlm.clip.blocks import Block


class NativeBlock(Block):
    """open_clip's own ``ResidualAttentionBlock``."""

    norms, output, mlp_output = ("ln_1", "ln_2"), "attn.out_proj", "mlp.c_proj"

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Thirds of the block's joint projection."""
        attn, normed = self.module.attn, self.normed(1, states)
        joint = functional.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
        query, keys, values = joint.chunk(3, dim=-1)
        return query, keys, values

    def scaled(self, branch: int, added: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """By the block's layer scale."""
        scaled: Tensor = getattr(self.module, f"ls_{branch}")(added)
        return scaled


class TimmBlock(Block):
    """A block of timm: an ``EvaBlock``, ``EvaBlockPostNorm`` or ``Block``."""

    norms, output, mlp_output = ("norm1", "norm2"), "attn.proj", "mlp.fc2"

    def qkv(self, states: Float[Tensor, "*b d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Joint or separate projections; blocks whose norm follows project what enters them."""
        attn, normed = self.module.attn, self.normed(1, states)
        if attn.qkv is None:
            return attn.q_proj(normed), attn.k_proj(normed), attn.v_proj(normed)
        bias = attn.qkv.bias
        if bias is None and getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        query, keys, values = functional.linear(normed, attn.qkv.weight, bias).chunk(3, dim=-1)
        return query, keys, values

    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states, behind a norm of its own."""
        return super().attention_output(self.module.attn.norm(mixed))

    def normed(self, branch: int, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """As they are where the norm follows."""
        return states if self._norm_follows else super().normed(branch, states)

    def scaled(self, branch: int, added: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """By the block's own norm or scale."""
        if self._norm_follows:
            return super().normed(branch, added)
        scale, layer = f"gamma_{branch}", f"ls{branch}"
        scaled: Tensor = (
            getattr(self.module, layer)(added) if hasattr(self.module, layer) else added
        )
        if getattr(self.module, scale, None) is not None:
            scaled = added * getattr(self.module, scale)
        return scaled

    @property
    def _norm_follows(self) -> bool:
        return isinstance(self.module, eva.EvaBlockPostNorm)


class ImageTrunk(ABC):
    """One of open_clip's image towers, seen block by block; holds no weights of its own."""

    family: str
    n_prefix: int
    n_heads: int
    blocks: Sequence[Block]
    grid: tuple[int, int]
    pools_attention: bool
    rotates: bool = False

    @abstractmethod
    def embed(self, pixel_values: Tensor) -> Tensor:
        """States that enter the first block."""

    @abstractmethod
    def block(self, index: int, hidden_states: Tensor) -> Tensor:
        """Run one block."""

    @abstractmethod
    def placed(self, query: Tensor, keys: Tensor, block: int) -> tuple[Tensor, Tensor]:
        """Queries and keys as the softmax sees them."""

    @abstractmethod
    def pool(self, states: Tensor) -> Tensor:
        """Final norm, pooling and projection of [b, s, d] states."""


class NativeTrunk(ImageTrunk):
    """open_clip's own ``VisionTransformer``: OpenAI, LAION, DataComp, MetaCLIP, DFN."""

    family = "CLIP"
    n_prefix = 1
    pools_attention = False

    def __init__(self, visual: VisionTransformer) -> None:
        self.visual, self.grid = visual, tuple(visual.grid_size)
        if visual.attn_pool is not None or visual.pool_type != "tok":
            pooling = "attention" if visual.attn_pool is not None else repr(visual.pool_type)
            raise ValueError(
                f"this open_clip ViT pools by {pooling}; "
                "give one that reads its class token (pool 'tok')"
            )
        modules = visual.transformer.resblocks
        if not all(isinstance(module, ResidualAttentionBlock) for module in modules):
            kind = type(modules[0]).__name__
            raise ValueError(
                f"this open_clip ViT has blocks of type {kind}; give one of ResidualAttentionBlock"
            )
        self.blocks = [NativeBlock(module) for module in modules]
        self.n_heads = int(modules[0].attn.num_heads)

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Patches, class token, positions and the first norm."""
        states: Tensor = self.visual._embeds(pixel_values)
        return states

    def block(self, index: int, hidden_states: Tensor) -> Tensor:
        """Run one block."""
        states: Tensor = self.blocks[index].module(hidden_states)
        return states

    def placed(self, query: Tensor, keys: Tensor, block: int) -> tuple[Tensor, Tensor]:
        """Unchanged: positions were added to the embeddings."""
        return query, keys

    def pool(self, states: Tensor) -> Tensor:
        """Norm and projection of the first position."""
        pooled: Tensor = self.visual.ln_post(states[:, 0]) @ self.visual.proj
        return pooled


class TimmTrunk(ImageTrunk):
    """A timm transformer inside open_clip.

    EVA and EVA02 are an ``Eva``, SigLIP is a ``VisionTransformer``.
    """

    trunk: Any  # type: ignore[explicit-any]  # timm does not type the parts of its models
    blocks: list[TimmBlock]

    def __init__(self, visual: TimmModel) -> None:
        self.visual, self.trunk = visual, visual.trunk
        trunk = self.trunk
        kind = type(trunk).__name__
        if not isinstance(trunk, (eva.Eva, vision_transformer.VisionTransformer)):
            raise ValueError(
                f"the timm trunk {kind} is not a plain ViT; "
                "give an open_clip ViT, EVA or SigLIP model"
            )
        modules, self.grid = self.trunk.blocks, tuple(self.trunk.patch_embed.grid_size)
        self.pools_attention = trunk.attn_pool is not None
        known = (eva.EvaBlock, eva.EvaBlockPostNorm, vision_transformer.Block)
        # Named, not imported: timm has moved its attention modules between releases.
        attends = ("Attention", "EvaAttention")
        plain = all(isinstance(b, known) and type(b.attn).__name__ in attends for b in modules)
        pooled = "map" if self.pools_attention else trunk.global_pool
        if not plain or (trunk.num_prefix_tokens, pooled) not in ((1, "token"), (0, "map")):
            raise ValueError(
                f"the timm trunk {kind} has {type(modules[0].attn).__name__} blocks, "
                f"{trunk.num_prefix_tokens} prefix tokens and {pooled!r} pooling; known are EVA "
                "(one class token, read as the pool) and SigLIP (none, attention pooling)"
            )
        self.n_prefix = int(trunk.num_prefix_tokens)
        self.n_heads = int(modules[0].attn.num_heads)
        self.blocks = [TimmBlock(module) for module in modules]
        self.rotates = getattr(trunk, "rope", None) is not None
        self.family = (
            "EVA" if isinstance(trunk, eva.Eva) else "SigLIP" if self.pools_attention else "ViT"
        )

    @property
    def rotary(self) -> Tensor | None:
        """Sines and cosines of the patches' positions [N, 2 e], if the trunk rotates."""
        return self.trunk.rope.get_embed() if self.rotates else None

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Patches, class token if any, positions and the first norm if any."""
        states = self.trunk._pos_embed(self.trunk.patch_embed(pixel_values))
        normed: Tensor = self.trunk.norm_pre(states[0] if isinstance(states, tuple) else states)
        return normed

    def block(self, index: int, hidden_states: Tensor) -> Tensor:
        """Run one block; EVA's blocks also get the rotary positions."""
        block = self.blocks[index].module
        is_eva = isinstance(self.trunk, eva.Eva)
        states: Tensor = block(hidden_states, rope=self.rotary) if is_eva else block(hidden_states)
        return states

    def placed(self, query: Tensor, keys: Tensor, block: int) -> tuple[Tensor, Tensor]:
        """Per-head norms and rotary positions; the class token is not rotated."""
        attn, rope = self.blocks[block].module.attn, self.rotary
        placed = []
        for states, norm in ((query, attn.q_norm), (keys, attn.k_norm)):
            heads = norm(states.unflatten(-1, (self.n_heads, -1))).transpose(1, 2)
            if rope is not None:
                head, patches = heads[:, :, : self.n_prefix], heads[:, :, self.n_prefix :]
                turned = apply_rot_embed_cat(
                    patches, rope, half=getattr(attn, "rotate_half", False)
                )
                heads = torch.cat([head, turned.type_as(head)], dim=2)
            placed.append(heads.transpose(1, 2).flatten(-2))
        return placed[0], placed[1]

    def pool(self, states: Tensor) -> Tensor:
        """Final norm, the trunk's pooling and head, and open_clip's projection if there is one."""
        pooled: Tensor = self.visual.head(self.trunk.forward_head(self.trunk.norm(states)))
        return pooled


def image_trunk(visual: nn.Module) -> ImageTrunk:
    """The view of an image tower.

    Raises:
        ValueError: If it is no plain ViT.
    """
    if isinstance(visual, VisionTransformer):
        return NativeTrunk(visual)
    if isinstance(visual, TimmModel):
        return TimmTrunk(visual)
    raise ValueError(
        f"the image tower {type(visual).__name__} is not a ViT; "
        "give an open_clip ViT, EVA or SigLIP model"
    )


class TextTrunk:
    """One of open_clip's own text towers; holds no weights of its own.

    Args:
        module: The module that holds the text tower: a ``CLIP``, or the ``text`` of another model.

    Attributes:
        causal: Whether a position sees only itself and earlier ones.
        pooling: Position that is read: "argmax" and "eos" [EOS], "last" (SigLIP) the last one.
        blocks: The blocks.
        n_heads: Heads of the attention.
        context_length: Tokens it reads at most.

    Raises:
        ValueError: If the tower is not open_clip's own, or pools in an unknown way.
    """

    module: CLIP | TextTransformer

    def __init__(self, module: nn.Module) -> None:
        if not _is_plain(module):
            raise ValueError(
                f"the text tower {type(module).__name__} is not open_clip's own; it cannot be read"
            )
        self.module = module
        text, whole = self.module, isinstance(module, CLIP)
        self.causal = text.attn_mask is not None
        self.pooling = str(text.text_pool_type if whole else text.pool_type)
        if (self.causal, self.pooling) not in ((True, "argmax"), (True, "eos"), (False, "last")):
            raise ValueError(
                f"text pooling {self.pooling!r} with causal={self.causal} is unknown; known are "
                "'argmax' and 'eos' (causal) and 'last' (not causal, SigLIP)"
            )
        self.blocks = [NativeBlock(block) for block in text.transformer.resblocks]
        self.n_heads = int(text.transformer.resblocks[0].attn.num_heads)
        self.context_length = int(text.context_length)
        # OpenAI's [EOS] has the highest id of the vocabulary; other families state theirs.
        self._eos_id: int | None = None
        if self.pooling == "eos":
            self._eos_id = int(text.text_eos_id if whole else text.eos_id)

    def eos(self, input_ids: Int[Tensor, "t l"]) -> Int[Tensor, "t"]:
        """Position of the first end-of-text token."""
        if self._eos_id is None:
            return input_ids.argmax(dim=-1)
        return (input_ids == self._eos_id).int().argmax(dim=-1)

    def encode(self, input_ids: Int[Tensor, "t l"]) -> tuple[Tensor, Tensor]:
        """Projected states [T, P] and the position [T] they are read at."""
        module, length = self.module, input_ids.shape[1]
        mask = None if module.attn_mask is None else module.attn_mask[:length, :length]
        states = module.token_embedding(input_ids) + module.positional_embedding[:length]
        states = module.ln_final(module.transformer(states, attn_mask=mask))
        last = torch.full_like(input_ids[:, 0], length - 1)
        index = last if self.pooling == "last" else self.eos(input_ids)
        return self._head(states[torch.arange(len(states), device=states.device), index]), index

    def project(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final norm and projection, applied to any states."""
        return self._head(self.module.ln_final(states))

    def _head(self, normed: Tensor) -> Tensor:
        head = self.module.text_projection
        projected: Tensor = head(normed) if isinstance(head, nn.Linear) else normed @ head
        return projected


def _is_plain(module: nn.Module) -> bool:
    """Whether the text tower is open_clip's own, without CoCa's appended class token."""
    if not isinstance(module, (CLIP, TextTransformer)):
        return False
    plain = all(isinstance(b, ResidualAttentionBlock) for b in module.transformer.resblocks)
    return plain and getattr(module, "cls_emb", None) is None
