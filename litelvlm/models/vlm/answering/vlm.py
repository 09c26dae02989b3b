"""A loaded vision-language model that answers one question about one image at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.clip.tower import Tower
from litelvlm.models.base import IdentifiedModel
from litelvlm.models.vlm.door import own_methods, prune
from litelvlm.models.vlm.greedy import greedy_decoding
from litelvlm.pruning import Pruner

_MEAN = (122, 116, 104)  # CLIP's mean colour, with which LLaVA's authors pad
_CLIP_CUES = frozenset({"text_embeds", "patch_embeds", "keys_mean", "late_states", "colours"})


@runtime_checkable
class Processor(Protocol):
    """What a model's processor does."""

    def __call__(
        self, *, text: str, images: Image.Image, return_tensors: str
    ) -> Mapping[str, Tensor]:
        """Inputs of the model."""

    def apply_chat_template(
        self, conversation: Sequence[Mapping[str, object]], *, add_generation_prompt: bool
    ) -> str:
        """The prompt of a conversation."""

    def decode(self, token_ids: Tensor, *, skip_special_tokens: bool) -> str:
        """Text of some tokens."""


@dataclass(frozen=True)
class VlmAnswer:
    """One answer.

    Attributes:
        text: What the model said, without blanks at the ends.
        visual_tokens: Visual tokens that a layer of the language model read, on average.
    """

    text: str
    visual_tokens: float


@dataclass(frozen=True, eq=False)
class AnsweringVlm(IdentifiedModel):
    """A model with its processor.

    Attributes:
        name: Name or folder that it was loaded from.
        digest: Of its files; "" where they are not known.
        model: The model.
        processor: Makes its inputs.
        clip: Both towers of the CLIP whose image tower it has, for methods that read CLIP's text.
        n_tokens: Visual tokens of an image; None where it varies.
        pad: Pad pictures to a square with the mean colour, as LLaVA's authors do, before the
            processor crops them.
    """

    name: str
    digest: str
    model: PreTrainedModel
    processor: Processor
    clip: Tower | None = None
    n_tokens: int | None = None
    pad: bool = False
    described = "a vision-language model that answers questions in words"

    @property
    def clip_tower(self) -> Tower | None:
        """Both towers of its CLIP, where they are known."""
        return self.clip

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernels of CLIP's towers, where they are known, and of the model."""
        towers = {} if self.clip is None else {"clip": self.clip.attention_kernel}
        return {**towers, "network": str(self.model.config._attn_implementation)}

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        found: torch.device = self.model.device
        return found

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        found: torch.dtype = self.model.dtype
        return found

    def check(self, pruner: Pruner, budget: int | float) -> None:
        """Refuse a method that cannot work with this model, whatever the picture.

        Raises:
            ValueError: If it cannot.
        """
        prune(self.model, pruner, budget)

    @torch.inference_mode()
    def answer(
        self,
        image: Image.Image,
        prompt: str,
        pruner: Pruner | None = None,
        budget: int | float | None = None,
        text: str | None = None,
        max_new_tokens: int = 16,
    ) -> VlmAnswer:
        """Answer a question about an image; decoding is greedy.

        Args:
            image: An RGB picture.
            prompt: The question with what belongs to it, without the model's own template.
            pruner: A method; None keeps all tokens.
            budget: Visual tokens to keep, or their share.
            text: What a method that reads CLIP's text ranks by; the prompt if left out.
            max_new_tokens: Length of the answer.

        Raises:
            ValueError: If a method cannot work with this model, or one of pruner and budget is
                missing.
        """
        if (pruner is None) != (budget is None):
            raise ValueError("pruner and budget belong together; give both or neither")
        inputs = self.inputs(image, prompt)
        start = inputs["input_ids"].shape[1]
        options: dict[str, object] = {"max_new_tokens": max_new_tokens}
        if pruner is None or budget is None:
            _, generate = own_methods(self.model)
            with greedy_decoding(self.model):
                ids = generate(**inputs, **options)
            count = float(self._placeholders(inputs["input_ids"]))
        else:
            towers = self.clip if pruner.needs & _CLIP_CUES else None
            asked = (text or prompt) if towers is not None else None
            door = prune(self.model, pruner, budget, clip=towers, text=asked)
            with door as pruned, greedy_decoding(self.model):
                ids = pruned.generate(inputs=None, **inputs, **options)
            layers = [sum(layer) for layer in zip(*pruned.layer_counts, strict=True)]
            count = sum(layers) / len(layers)
        assert isinstance(ids, Tensor)  # noqa: S101 - for the type checker
        said = self.processor.decode(ids[0, start:], skip_special_tokens=True)
        return VlmAnswer(said.strip(), count)

    def inputs(self, image: Image.Image, prompt: str) -> dict[str, Tensor]:
        """What the model reads of one question."""
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        written = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        shown = padded(image) if self.pad else image
        made = self.processor(text=written, images=shown, return_tensors="pt")
        floats = self.model.dtype
        return {
            name: value.to(self.model.device, floats if value.is_floating_point() else None)
            for name, value in made.items()
        }

    def _placeholders(self, ids: Tensor) -> int:
        return int((ids == self.model.config.image_token_id).sum())


def padded(image: Image.Image) -> Image.Image:
    """The picture in the middle of a square of its longer side, in CLIP's mean colour."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), _MEAN)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
