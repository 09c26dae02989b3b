"""A transformer block in parts: its projections, what attention adds, and what the MLP adds."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class Block(ABC):
    """One block of a tower; holds no weights of its own.

    A probe replaces the mixture of values and keeps everything else of the block.

    Attributes:
        module: The block as its library runs it.
        norms: Names of the norms before the attention and before the MLP.
        output: Name of the attention's output projection.
        mlp_output: Name of the MLP's second linear map.
    """

    module: Any  # type: ignore[explicit-any]  # the libraries type their parts in three ways
    norms: tuple[str, str]
    output: str
    mlp_output: str

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @abstractmethod
    def qkv(
        self, states: Float[Tensor, "*b d"]
    ) -> tuple[Float[Tensor, "*b d"], Float[Tensor, "*b d"], Float[Tensor, "*b d"]]:
        """Query, key and value projections of the states that enter the block, heads joined.

        Queries are not scaled, and no positions are rotated in.
        """

    def attention_output(self, mixed: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention adds to its states when its heads, joined, give ``mixed``."""
        return self.scaled(1, self.module.get_submodule(self.output)(mixed))

    def feed_forward(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the MLP adds to ``states``, norm included."""
        return self.scaled(2, self.module.mlp(self.normed(2, states)))

    def normed(self, branch: int, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """States as the attention (1) or the MLP (2) reads them."""
        normed: Tensor = self.module.get_submodule(self.norms[branch - 1])(states)
        return normed

    def scaled(self, branch: int, added: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """What the attention (1) or the MLP (2) adds, by the block's own scale of it."""
        return added

    @property
    def mlp_output_layer(self) -> nn.Module:
        """The MLP's second linear map; the activations of its neurons enter it."""
        layer: nn.Module = self.module.get_submodule(self.mlp_output)
        return layer

    @property
    def output_weight(self) -> Float[Tensor, "d d"]:
        """Matrix of the output projection [out, in]; the input's columns are the heads, joined."""
        weight: Tensor = self.module.get_submodule(self.output).weight
        return weight
