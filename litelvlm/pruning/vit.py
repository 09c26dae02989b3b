"""The image tower as methods that merge tokens between its blocks see it."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor


class VitView(ABC):
    """One image on its way through the tower, every block cut between attention and MLP.

    States are [S, D], CLS first; they may get fewer from block to block.

    Attributes:
        n_blocks: Blocks that the patch tokens come out of: all but the last.
    """

    n_blocks: int

    @abstractmethod
    def embed(self) -> Float[Tensor, "s d"]:
        """States that enter the first block."""

    def embed_at(self, shape: tuple[int, int]) -> Float[Tensor, "s d"]:
        """States that enter the first block for the image made smaller.

        Args:
            shape: Rows and columns of its patches.

        Raises:
            ValueError: If the tower reads images of one size only.
        """
        raise ValueError(
            f"this image tower reads images of one size only, not {shape[0]} x {shape[1]} patches; "
            "take avgpool, which makes the tokens coarser instead of the image"
        )

    @abstractmethod
    def attend(
        self, block: int, states: Float[Tensor, "s d"], bias: Float[Tensor, "s"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s e"]]:
        """First half of a block.

        Args:
            block: Which one, from 0.
            states: States that enter it.
            bias: Added to the attention logits of each key.

        Returns:
            States after the attention and its residual, and the keys, mean over heads.
        """

    @abstractmethod
    def feed(self, block: int, states: Float[Tensor, "s d"]) -> Float[Tensor, "s d"]:
        """Second half of a block: the MLP and its residual."""


class CopiedVit(VitView):
    """The image tower as methods from outside get it: no state of its own, and no weights.

    Args:
        view: The tower that does the work.
    """

    def __init__(self, view: VitView) -> None:
        self._view, self.n_blocks = view, view.n_blocks

    def embed(self) -> Float[Tensor, "s d"]:
        """As of the tower, a copy."""
        return self._view.embed().clone()

    def embed_at(self, shape: tuple[int, int]) -> Float[Tensor, "s d"]:
        """As of the tower, a copy."""
        return self._view.embed_at(shape).clone()

    def attend(
        self, block: int, states: Float[Tensor, "s d"], bias: Float[Tensor, "s"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s e"]]:
        """As of the tower."""
        return self._view.attend(block, states, bias)

    def feed(self, block: int, states: Float[Tensor, "s d"]) -> Float[Tensor, "s d"]:
        """As of the tower."""
        return self._view.feed(block, states)
