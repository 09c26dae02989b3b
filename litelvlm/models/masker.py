"""What turns embeddings of [SEG] into the masks of a clip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from litelvlm.finite import require_finite
from litelvlm.models.view import VisualState

MASK_LOGITS = "the mask logits"
"""Name of the stage, for messages."""


class Masker(ABC):
    """The mask decoder of a family: nothing else decodes masks.

    A decoder without memory takes each frame by itself. One with memory goes through the frames of
    the clip in ``decode``, one expression after the other.
    """

    @abstractmethod
    def begin(self, state: VisualState) -> "Masker":
        """A decoder of this clip, which has seen nothing of it yet."""

    @abstractmethod
    def decode(self, seg_embeds: Float[Tensor, "t d"]) -> Float[Tensor, "t f height width"]:
        """Mask logits of every frame at its size, float32; foreground is ``> 0``.

        Args:
            seg_embeds: Embedding of each expression's [SEG], the only prompt.
        """

    def decode_found(
        self, seg_embeds: Float[Tensor, "t d"], found: Sequence[bool]
    ) -> Float[Tensor, "t f height width"]:
        """``decode``; the logits of an answer without [SEG] are minus infinity.

        Args:
            seg_embeds: As for ``decode``; NaN without [SEG].
            found: Whether each answer holds a [SEG].

        Raises:
            ValueError: If another logit is NaN or infinite.
        """
        logits = self.decode(seg_embeds)
        if all(found):
            require_finite(logits, MASK_LOGITS)
            return logits
        require_finite(logits[[i for i, one in enumerate(found) if one]], MASK_LOGITS)
        logits[[i for i, one in enumerate(found) if not one]] = float("-inf")
        return logits
