"""SAM as the mask decoder of a GLaMM: one frame, and nothing is remembered between calls."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel

from litelvlm.models.glamm.masks.decoder import (
    low_resolution_masks,
    read_logits,
    sam_dtype,
    upscale,
)
from litelvlm.models.glamm.masks.shared import PER_TOKEN, masks_of_image
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.masker import Masker


@dataclass(frozen=True)
class SamMasker(Masker):
    """SAM's mask decoder on one encoded image.

    Attributes:
        sam: The model whose decoder is used.
        image_size: Side of SAM's square in pixels.
        state: The encoded image; None before ``begin``.
        at_once: Prompts that share the image's side of the decoder (``masks.shared``), which is
            faster for many, and equal up to the order of additions. None decodes all in one call of
            the library, which is differentiable.
    """

    sam: SamModel
    image_size: int
    state: ImageState | None = None
    at_once: int | None = None

    def begin(self, state: ImageState) -> "SamMasker":  # type: ignore[override]  # its own states
        """A decoder of this image."""
        return replace(self, state=state)

    def decode(self, seg_embeds: Float[Tensor, "t c"]) -> Float[Tensor, "t 1 height width"]:
        """Mask logits at the image's size, float32."""
        low, state = self.low_resolution(seg_embeds), self._image
        side = PER_TOKEN * state.sam_embeddings.shape[-1]
        full = upscale(low, state.resized_size, state.original_size, self.image_size, side)
        return full[:, None]

    def low_resolution(self, seg_embeds: Float[Tensor, "t c"]) -> Float[Tensor, "t h w"]:
        """Mask logits of SAM's square at a quarter of its side, in SAM's number type.

        With ``at_once`` the top left alone, as much as reaches the image.
        """
        prompts, image = seg_embeds.to(sam_dtype(self.sam)), self._image.sam_embeddings
        if self.at_once is None:
            return low_resolution_masks(self.sam, image, prompts[None, :, None])[0]
        parts = prompts.split(self.at_once)
        return torch.cat([masks_of_image(self.sam, image, part, self._extent) for part in parts])

    @cached_property
    def inside(self) -> tuple[int, int]:
        """Rows and columns of the low resolution that lie inside the image; the rest is padding."""
        side = PER_TOKEN * self._image.sam_embeddings.shape[-1]
        rows, columns = (round(side * n / self.image_size) for n in self._image.resized_size)
        return rows, columns

    @property
    def _image(self) -> ImageState:
        if self.state is None:
            raise ValueError("a mask decoder begins with an encoded image; call begin(state)")
        return self.state

    @property
    def _extent(self) -> tuple[int, int]:
        """Rows and columns of SAM's image tokens whose logits reach the image."""
        state = self._image
        rows, columns = (
            -(-read_logits(length, PER_TOKEN * side, self.image_size) // PER_TOKEN)
            for length, side in zip(
                state.resized_size, state.sam_embeddings.shape[-2:], strict=True
            )
        )
        return rows, columns
