"""A transformer block in parts: its projections, what attention adds, and what the MLP adds."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Block(ABC):
    """One block of a tower; holds no weights of its own.

    A probe replaces the mixture of values and keeps everything else of the block.

    Attributes:
        module: The block as its library runs it.
    """

    module: nn.Module

    @abstractmethod
    def qkv(
        self, states: Float[Tensor, "*b d"]
    ) -> tuple[Float[Tensor, "*b d"], Float[Tensor, "*b d"], Float[Tensor, "*b d"]]:
        """Query, key and value projections of the states that enter the block, heads joined.

        Queries are not scaled, and no positions are rotated in.
        """

    @abstractmethod
    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states when its heads, joined, give ``mixed``."""

    @abstractmethod
    def feed_forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the MLP adds to ``states``, norm included."""

    @property
    @abstractmethod
    def mlp_output_layer(self) -> nn.Module:
        """The MLP's second linear map; the activations of its neurons enter it."""


class TextBlock(Block):
    """One block of a text tower."""

    @property
    @abstractmethod
    def output_weight(self) -> Float[Tensor, "d d"]:
        """Matrix of the output projection [out, in]; the input's columns are the heads, joined."""
