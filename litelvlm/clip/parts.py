"""What a family of towers must give: its parts, block by block.

Everything that studies and methods read is built from these.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.clip.blocks import Block
from litelvlm.clip.preprocessing import Preprocessing


class TowerParts(nn.Module, ABC):
    """Parts of an image and a text tower that share a space.

    A family says here how it embeds, runs, projects and tokenises.

    Attributes:
        preprocessing: Crop and normalisation of the family.
        family: What error messages call the family.
        lacks: States the family does not have, each with why and what to use instead.
        n_prefix: Tokens before the patches: 1 (CLS) or 0.
        rotates: Whether positions are rotated into queries and keys, so that every token needs one.
    """

    preprocessing: Preprocessing
    family: str = "CLIP"
    lacks: Mapping[str, str] = MappingProxyType({})
    n_prefix: int = 1
    rotates: bool = False

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

    def embed_resized(self, pixel_values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block for images of any number of whole patches.

        Raises:
            ValueError: If the family reads images of one size only.
        """
        raise ValueError(
            f"{self.family} reads images of one size only; take avgpool, which makes the tokens "
            "coarser instead of the image"
        )

    @property
    @abstractmethod
    def image_blocks(self) -> Sequence[Block]:
        """Blocks of the image tower."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks of the image tower."""
        return len(self.image_blocks)

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
    def embed(self, pixel_values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block."""

    @abstractmethod
    def block(self, index: int, hidden_states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run one block of the image tower."""

    def qkv(
        self, hidden_states: Float[Tensor, "b s d"], block: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value projections [b, s, d] of the states that enter one block."""
        return self.image_blocks[block].qkv(hidden_states)

    def placed(
        self, query: Float[Tensor, "b s d"], keys: Float[Tensor, "b s d"], block: int
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys as the softmax sees them, with rotary positions if there are any."""
        return query, keys

    @abstractmethod
    def project(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final layer norm and visual projection, applied to any states of the image tower."""

    def project_unnormed(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Visual projection without the norm before it.

        Raises:
            ValueError: If the family projects after its norm only.
        """
        raise ValueError(f"{self.family} projects after its norm only; use norm=True")

    def map_values(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Value path of attention pooling: each state alone through norm, pooling and MLP.

        Raises:
            ValueError: If the family has a projection; then ``project`` is the map into the joint
                space.
        """
        raise ValueError(
            f"{self.family} has no map_values: it has no attention pooling; "
            "use patch_embeds or project"
        )

    def pool(self, last_hidden_state: Float[Tensor, "b s d"]) -> Float[Tensor, "b p"]:
        """The image embedding, from the last block's output."""
        return self.project(last_hidden_state[:, 0])

    @property
    def vocabulary_size(self) -> int | None:
        """Entries of the text tower's vocabulary; None where the family does not tell."""
        return None

    @abstractmethod
    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor, tuple[bool, ...]]:
        """Token ids and mask [T, L], cut at the tower's maximum, and which sentences were cut."""

    @abstractmethod
    def encode_text(
        self, input_ids: Int[Tensor, "t l"], attention_mask: Int[Tensor, "t l"]
    ) -> tuple[Tensor, Tensor]:
        """Projected text states [T, P] and the position [T] they are read at."""

    @abstractmethod
    def project_text(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final norm and text projection, applied to any states of the text tower."""

    @property
    @abstractmethod
    def text_blocks(self) -> Sequence[Block]:
        """Blocks of the text tower."""

    @property
    @abstractmethod
    def n_text_heads(self) -> int:
        """Heads of the text tower's attention."""
