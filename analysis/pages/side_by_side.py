"""Pictures side by side, each under a line of text."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from litelvlm.arrays import Array

HEIGHT, GAP, TEXT = 360, 12, 18
"""Least height of a panel, space between panels, and height of the letters, in pixels."""


def side_by_side(panels: Mapping[str, Image.Image]) -> UInt8[Array, "height width 3"]:
    """Draw pictures of equal size in a row on white, each under its caption.

    Small pictures are enlarged by a whole number, without smoothing.

    Args:
        panels: Caption to RGB picture.
    """
    first = next(iter(panels.values()))
    times = max(1, -(-HEIGHT // first.height))
    width, height = first.width * times, first.height * times
    font = ImageFont.load_default(size=TEXT)
    columns = [max(width, int(font.getlength(caption))) for caption in panels]
    size = (sum(columns) + GAP * (len(columns) + 1), height + TEXT + 3 * GAP)
    page = Image.new("RGB", size, "white")
    draw, left = ImageDraw.Draw(page), GAP
    for column, (caption, picture) in zip(columns, panels.items(), strict=True):
        draw.text((left, GAP), caption, fill="black", font=font)
        enlarged = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        page.paste(enlarged, (left, TEXT + 2 * GAP))
        left += column + GAP
    return np.array(page)
