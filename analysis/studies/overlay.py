"""Masks and kept tokens drawn over a picture."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from litelvlm.arrays import Array
from litelvlm.clip.geometry import coverage_to_pixels
from litelvlm.models.base import ImageView
from litelvlm.pruning import Selection

Colour = tuple[int, int, int]
TINTS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
)
"""Colours (RGB), one per expression; colour-blind readers can distinguish them."""
_SENSITIVITY = np.sqrt(np.array([3, 4, 2], dtype=np.float32))
"""Weights of red, green and blue in a rough distance between colours as people see them."""
_STRIPES = 24  # along the longer side


def kept_indices(selection: Selection | None, n_tokens: int) -> list[int]:
    """Raster indices of kept tokens in output order, without merged tokens.

    Args:
        selection: What a method chose; None stands for all tokens.
        n_tokens: Tokens before pruning.
    """
    if selection is None:
        return list(range(n_tokens))
    return [int(index) for index in selection.indices if index >= 0]


def spread(
    values: Float[Array, "n"], view: ImageView, height: int, width: int
) -> Float[Array, "height width"]:
    """Spread one value per token over the picture; NaN outside what the tokens see.

    Of a clip it is the picture of the first frame.
    """
    tokens = values.reshape(-1, *view.layout.grid)[0]
    return coverage_to_pixels(tokens, height, width, view.image_size, view.crop)


def kept_pixels(
    kept: Sequence[int], view: ImageView, height: int, width: int
) -> Float[Array, "height width"]:
    """Map of kept tokens over the picture: 1 kept, 0 pruned, NaN outside what the tokens see."""
    flags = np.zeros(view.n_tokens, dtype=np.float32)
    flags[list(kept)] = 1.0
    return spread(flags, view, height, width)


def contrasting_tints(
    picture: Image.Image, masks: Bool[Array, "n height width"]
) -> tuple[Colour, ...]:
    """For each mask the colour of ``TINTS`` that stands out most from what it covers.

    No colour is used twice as long as another one is left.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    chosen: list[Colour] = []
    for mask in masks:
        free = [tint for tint in TINTS if tint not in chosen] or list(TINTS)
        covered = pixels[mask] if mask.any() else pixels.reshape(-1, 3)
        # The least contrast counts, not the average; a tenth of the pixels may be closer.
        contrast = [
            np.percentile(np.linalg.norm((covered - tint) * _SENSITIVITY, axis=1), 10)
            for tint in np.asarray(free, dtype=np.float32)
        ]
        chosen.append(free[int(np.argmax(contrast))])
    return tuple(chosen)


def draw_overlay(
    picture: Image.Image,
    mask: Bool[Array, "height width"],
    kept: Float[Array, "height width"],
    tint: Colour = TINTS[0],
) -> UInt8[Array, "height width 3"]:
    """Tint and outline the mask, darken pruned tokens, and hatch what CLIP does not see.

    Args:
        picture: RGB.
        mask: Foreground.
        kept: 1 kept, 0 pruned, NaN outside the crop.
        tint: RGB in 0..255.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32).copy()
    pixels[kept == 0] *= 0.45
    unseen = np.isnan(kept)
    pixels[unseen] = 0.5 * pixels[unseen] + 64
    pixels[unseen & stripes(*kept.shape)] = 128
    pixels[mask] = 0.5 * pixels[mask] + 0.5 * np.asarray(tint, dtype=np.float32)
    # A dark line outside and a coloured one inside, so that the outline shows on any ground.
    pixels[mask & ~binary_erosion(mask, iterations=2)] = tint
    pixels[binary_dilation(mask, iterations=2) & ~mask] = 0
    return pixels.round().astype(np.uint8)


def stripes(height: int, width: int) -> Bool[Array, "height width"]:
    """Diagonal stripes, a quarter of the pixels."""
    period = max(4, max(height, width) // _STRIPES)
    return (np.arange(height)[:, None] + np.arange(width)[None]) % period < max(1, period // 4)


def draw_kept(
    picture: Image.Image,
    mask: Bool[Array, "height width"],
    selection: Selection | None,
    view: ImageView,
    tint: Colour = TINTS[0],
) -> UInt8[Array, "height width 3"]:
    """``draw_overlay`` with the tokens of a selection; None keeps all.

    Args:
        picture: RGB.
        mask: Foreground.
        selection: Of this picture's tokens.
        view: Where they lie.
        tint: RGB in 0..255.
    """
    kept = kept_indices(selection, view.n_tokens)
    seen = kept_pixels(kept, view, picture.height, picture.width)
    return draw_overlay(picture, mask, seen, tint)


def has_unseen_rim(view: ImageView, height: int, width: int) -> bool:
    """Whether a picture of this size has pixels outside what the tokens see."""
    return bool(np.isnan(kept_pixels([], view, height, width)).any())
