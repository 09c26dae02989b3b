"""The text towers of open_clip, seen block by block."""

import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn

from litelvlm.clip.open_clip_blocks import NativeBlock


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
