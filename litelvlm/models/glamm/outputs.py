"""What the stages of a GLaMM hand on: the encoded image and the spliced prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.clip.parts import TowerParts
from litelvlm.clip.states import ClipImage
from litelvlm.models.base import ImageView, tower_view
from litelvlm.models.glamm.prompting.prompts import SEG_TOKEN
from litelvlm.pruning import Selection

SEG_STATE = "the language model's state for [SEG]"
"""Name of the stage, for messages."""


@dataclass(frozen=True)
class ImageState:
    """Everything about one image that no method and no expression changes.

    Attributes:
        clip: CLIP states, batch of one.
        sam_embeddings: SAM image embedding [1, C, h, w].
        original_size: (height, width) in pixels.
        resized_size: (height, width) inside SAM's padded square.
        timings: Seconds per stage.
    """

    clip: ClipImage
    sam_embeddings: Float[Tensor, "1 c h w"]
    original_size: tuple[int, int]
    resized_size: tuple[int, int]
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def view(self) -> ImageView:
        """What CLIP's tokens see of the image."""
        return tower_view(self.clip.tower, *self.original_size)

    @property
    def tokens(self) -> Float[Tensor, "n d"]:
        """Patch states that the projector reads, in raster order."""
        return self.clip.patch_tokens[0]

    def tensors(self) -> dict[str, Tensor]:
        """All that ``from_tensors`` needs, by name; timings are left out."""
        states = {f"clip.{place}": state for place, state in enumerate(self.clip.states)}
        sizes = torch.tensor([*self.original_size, *self.resized_size])
        return states | {
            "pixel_values": self.clip.pixel_values,
            "sam": self.sam_embeddings,
            "sizes": sizes,
        }

    @classmethod
    def from_tensors(
        cls, tower: TowerParts, device: torch.device, tensors: Mapping[str, Tensor]
    ) -> "ImageState":
        """Put together what ``tensors`` took apart.

        Args:
            tower: Of the model that made the state.
            device: Where its tensors shall lie.
            tensors: By name.

        Raises:
            KeyError: If one is missing.
        """
        n_states = sum(name.startswith("clip.") for name in tensors)
        states = tuple(tensors[f"clip.{place}"].to(device) for place in range(n_states))
        height, width, resized_height, resized_width = tensors["sizes"].tolist()
        return cls(
            ClipImage(tower, states, tensors["pixel_values"].to(device)),
            tensors["sam"].to(device),
            (height, width),
            (resized_height, resized_width),
        )


@dataclass(frozen=True)
class Spliced:
    """Input embeddings of a batch of conversations, padded on the right.

    Attributes:
        embeds: [B, S, d].
        position_ids: Rotary positions [B, S].
        lengths: Tokens of each conversation without padding.
        image_start: Index of the first visual token of each conversation.
        seg_index: For each conversation, the indices whose state predicts a [SEG].
    """

    embeds: Float[Tensor, "b s d"]
    position_ids: Int[Tensor, "b s"]
    lengths: tuple[int, ...]
    image_start: tuple[int, ...]
    seg_index: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TurnOutputs:
    """What the language model gives for one conversation.

    Attributes:
        seg_states: State of each turn that its mask is decoded from; NaN without [SEG].
        answers: Answer of each turn.
        selection: The visual tokens that were kept.
    """

    seg_states: Float[Tensor, "t d"]
    answers: tuple[str, ...]
    selection: Selection | None

    @property
    def found(self) -> tuple[bool, ...]:
        """Whether each answer holds a [SEG]."""
        return tuple(SEG_TOKEN in answer for answer in self.answers)
