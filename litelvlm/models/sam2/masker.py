"""SAM2 as the mask decoder of a family: frame by frame, or with memory through a clip."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Sam2VideoModel

from litelvlm.models.requests import Masker
from litelvlm.models.sam2.decoding import FrameMasks, decode_frame, not_a_point, resized
from litelvlm.models.sam2.frames import FrameFeatures, Sam2Frames, Sam2State
from litelvlm.models.sam2.memory import NUMBERS, Memory
from litelvlm.names import check_name


class FrameStep(NamedTuple):
    """What a decoder found in one frame.

    Attributes:
        frame: Its number.
        features: Of the image encoder.
        prompts: Sparse prompt tokens that the mask decoder read.
        image: Image tokens that it read.
        masks: Its answer.
    """

    frame: int
    features: FrameFeatures
    prompts: Float[Tensor, "t n c"]
    image: Float[Tensor, "t c h w"]
    masks: FrameMasks


@dataclass(frozen=True)
class Sam2Masker(Masker):
    """SAM2's mask decoder on one clip. All expressions go through each frame together.

    Attributes:
        sam: The model, in evaluation mode.
        clip: Frames of the clip; None before ``begin``.
    """

    sam: Sam2VideoModel
    clip: Sam2Frames | None = None

    def begin(self, state: Sam2State) -> "Sam2Masker":  # type: ignore[override]  # its own states
        """A decoder of this clip."""
        return replace(self, clip=state.sam_frames)

    def decode(self, seg_embeds: Float[Tensor, "t d"]) -> Float[Tensor, "t f height width"]:
        """Mask logits of every frame at its size, float32.

        Args:
            seg_embeds: Prompt tokens of each expression, one behind the other.
        """
        clip = self._clip
        logits = torch.empty(len(seg_embeds), len(clip), *clip.size, device=seg_embeds.device)
        for step in self.steps(seg_embeds):
            logits[:, step.frame] = resized(step.masks.low_res, clip.size)
        return logits

    def decode_found(
        self, seg_embeds: Float[Tensor, "t d"], found: Sequence[bool]
    ) -> Float[Tensor, "t f height width"]:
        """As the base says; only answers with [SEG] are decoded."""
        clip, places = self._clip, [place for place, one in enumerate(found) if one]
        shape = (len(found), len(clip), *clip.size)
        logits = torch.full(shape, float("-inf"), device=seg_embeds.device)
        if places:
            logits[places] = super().decode_found(seg_embeds[places], [True] * len(places))
        return logits

    @abstractmethod
    def steps(self, seg_embeds: Float[Tensor, "t d"]) -> Iterator[FrameStep]:
        """Go through the frames in their order; nothing but the last step is kept."""

    def prompts(self, seg_embeds: Float[Tensor, "t d"]) -> Float[Tensor, "t n c"]:
        """Prompt tokens in SAM2's width and number type."""
        own = seg_embeds.to(self.sam.no_memory_embedding.dtype)
        width = int(self.sam.hidden_dim)
        tokens: Tensor = own.unflatten(-1, (-1, width))
        return tokens

    @property
    def _clip(self) -> Sam2Frames:
        if self.clip is None:
            raise ValueError("a mask decoder begins with an encoded clip; call begin(state)")
        return self.clip


@dataclass(frozen=True)
class FramewiseMasker(Sam2Masker):
    """Each frame by itself: no click tokens, one mask or the best of three, no object score.

    Source: VideoGLaMM, images and its framewise path.
    """

    def steps(self, seg_embeds: Float[Tensor, "t d"]) -> Iterator[FrameStep]:
        """Go through the frames in their order."""
        prompts = self.prompts(seg_embeds)
        for frame in range(len(self._clip)):
            features = self._clip.features(frame)
            image = Memory(self.sam, 1).conditioned(0, features, len(prompts))
            masks = decode_frame(self.sam, features.fine, image, prompts, several=False)
            yield FrameStep(frame, features, prompts, image, masks)


@dataclass(frozen=True)
class ClipMasker(Sam2Masker):
    """With memory: the first frame reads the prompt, each later one what was found before.

    Every frame takes the best of three masks. The object score decides whether there is one.

    Attributes:
        numbers: How memories are kept, "exact" or rounded to "bfloat16".
        binarised: Whether the first mask is remembered as 0 or 1, as after a click (VideoGLaMM), or
            as a probability (UniPixel).
    """

    numbers: str = "exact"
    binarised: bool = False

    def __post_init__(self) -> None:
        check_name(self.numbers, NUMBERS, "number type of SAM2's memory")

    def steps(self, seg_embeds: Float[Tensor, "t d"]) -> Iterator[FrameStep]:
        """Go through the frames in their order."""
        own, clip = self.prompts(seg_embeds), self._clip
        memory = Memory(self.sam, len(clip), self.numbers, self.binarised)
        no_click = not_a_point(self.sam, len(own))
        for frame in range(len(clip)):
            features = clip.features(frame)
            image = memory.conditioned(frame, features, len(own))
            prompts = torch.cat([no_click, own], 1) if frame == 0 else no_click
            masks = decode_frame(self.sam, features.fine, image, prompts, several=True)
            yield FrameStep(frame, features, prompts, image, masks)
            if frame + 1 < len(clip):
                memory.remember(frame, features, masks)
