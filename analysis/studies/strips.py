"""Clips drawn small: a strip of a few frames and an animation, both with the outlines of masks."""

from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from litelvlm.analysis.studies.overlay import TINTS, Colour, draw_overlay
from litelvlm.arrays import Array
from litelvlm.data.video.stills import spread_frames

STRIP_FRAMES, ANIMATION_FRAMES = 8, 48
"""Most frames of a strip and of an animation."""
STRIP_HEIGHT, ANIMATION_HEIGHT, GAP = 160, 240, 4
"""Pixels of a frame's height at most, and between the frames of a strip."""
MS = 100
"""Milliseconds of one frame of an animation."""


def outlined(
    frame: Image.Image, mask: Bool[Array, "height width"], height: int, tint: Colour = TINTS[0]
) -> Image.Image:
    """One frame with its mask tinted and outlined, at most ``height`` pixels high."""
    share = min(1.0, height / frame.height)
    size = max(1, round(frame.width * share)), max(1, round(frame.height * share))
    small = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    inside = np.asarray(small, dtype=bool)
    picture = frame.convert("RGB").resize(size)
    return Image.fromarray(draw_overlay(picture, inside, np.ones(inside.shape, np.float32), tint))


def strip(frames: Sequence[Image.Image]) -> UInt8[Array, "height width 3"]:
    """Draw frames of one size in a row, on white."""
    width, height = frames[0].size
    page = Image.new("RGB", (len(frames) * (width + GAP) - GAP, height), "white")
    for place, frame in enumerate(frames):
        page.paste(frame, (place * (width + GAP), 0))
    return np.array(page)


def clip_strip(
    frames: Sequence[Image.Image],
    masks: Bool[Array, "f height width"],
    most: int = STRIP_FRAMES,
    tint: Colour = TINTS[0],
) -> UInt8[Array, "drawn_height drawn_width 3"]:
    """Draw a few frames of a clip with their masks."""
    places = spread_frames(len(frames), most)
    return strip([outlined(frames[i], masks[i], STRIP_HEIGHT, tint) for i in places])


def clip_animation(frames: Sequence[Image.Image], *masks: Bool[Array, "f height width"]) -> bytes:
    """Animate a clip, once for each set of masks, side by side."""
    return animation(
        Image.fromarray(strip([outlined(frames[i], one[i], ANIMATION_HEIGHT) for one in masks]))
        for i in spread_frames(len(frames), ANIMATION_FRAMES)
    )


def animation(frames: Iterable[Image.Image]) -> bytes:
    """Encode frames of one size as an animated WebP that repeats."""
    first, *others = frames
    buffer = BytesIO()
    first.save(
        buffer, format="WEBP", save_all=True, append_images=others, duration=MS, loop=0, quality=80
    )
    return buffer.getvalue()
