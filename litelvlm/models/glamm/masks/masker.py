"""SAM as the mask decoder of a GLaMM: one frame, and nothing is remembered between calls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import floor

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel

from litelvlm.models.glamm.masks.shared import PER_TOKEN, masks_of_image
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.requests import Masker


def low_resolution_masks(
    sam: SamModel,
    image_embeddings: Float[Tensor, "b c h w"],
    seg_embeddings: Float[Tensor, "b t 1 c"],
) -> Float[Tensor, "b t 4*h 4*w"]:
    """Decode masks from text embeddings used as SAM's only sparse prompt.

    Args:
        sam: The model whose decoder is used. Of its prompt encoder only ``no_mask_embed`` is used.
        image_embeddings: Output of SAM's image encoder, once per image.
        seg_embeddings: One embedding per expression.

    Returns:
        Logits of mask slot 0 (``multimask_output=False``).
    """
    b, _, h, w = image_embeddings.shape
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(b, -1, h, w)
    positions = sam.get_image_wide_positional_embeddings().expand(b, -1, -1, -1)
    masks, _ = sam.mask_decoder(
        image_embeddings=image_embeddings,
        image_positional_embeddings=positions.to(image_embeddings.dtype),
        sparse_prompt_embeddings=seg_embeddings,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    first: Tensor = masks[:, :, 0]
    return first


def upscale(
    masks: Float[Tensor, "t h w"],
    resized_size: Sequence[int],
    original_size: Sequence[int],
    image_size: int,
    side: int | None = None,
) -> Float[Tensor, "t height width"]:
    """Bring low-resolution logits to the image's size: enlarge, cut the padding off, resize.

    Args:
        masks: Logits of one image's expressions.
        resized_size: (height, width) of the image inside SAM's padded square.
        original_size: (height, width) of the original image.
        image_size: Side of SAM's square.
        side: Side of the whole low-resolution square, where ``masks`` holds its top left alone, at
            least ``read_logits`` of it; that of ``masks`` if left out.

    Returns:
        Float32 logits; foreground is ``> 0``.
    """
    side = side or masks.shape[-1]
    rows, columns = (read_logits(length, side, image_size) for length in resized_size)
    # With masks as innermost axis each weight serves all of them, several times faster on a CPU.
    read = masks[None, :, :rows, :columns].float().contiguous(memory_format=torch.channels_last)
    if image_size % side:
        square = F.interpolate(read, (image_size, image_size), mode="bilinear", align_corners=False)
    else:  # what is cut off does not change the scale
        square = F.interpolate(
            read,
            scale_factor=float(image_size // side),
            mode="bilinear",
            align_corners=False,
            recompute_scale_factor=False,
        )
    square = square[..., : resized_size[0], : resized_size[1]]
    full = F.interpolate(square, tuple(original_size), mode="bilinear", align_corners=False)
    return full[0].contiguous()


def read_logits(length: int, side: int, image_size: int) -> int:
    """Rows (or columns) of a low-resolution square that reach the image inside SAM's square.

    The others are padding. All, if SAM's square is no whole multiple of the low-resolution one.

    Args:
        length: Height (or width) of the image inside SAM's padded square.
        side: Side of the low-resolution square.
        image_size: Side of SAM's square.

    Example:
        >>> read_logits(768, 256, 1024), read_logits(1024, 256, 1024)
        (193, 256)
    """
    if image_size % side:
        return side
    factor = image_size // side
    last = (length - 0.5) / factor - 0.5  # where the image's last row lies in the low resolution
    return min(side, floor(last) + 2)


def encode_image(sam: SamModel, pixel_values: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
    """Run SAM's image encoder."""
    out: Tensor = sam.vision_encoder(pixel_values).last_hidden_state
    return out


def sam_dtype(sam: SamModel) -> torch.dtype:
    """Number type of SAM's image encoder."""
    return next(sam.vision_encoder.parameters()).dtype


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
