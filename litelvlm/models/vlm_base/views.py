"""Where the tokens of a model lie that reads whole pictures."""

from litelvlm.clip.geometry import Crop
from litelvlm.layout import Layout
from litelvlm.models.view import ImageView


def whole_picture(
    height: int, width: int, layout: Layout, seen: tuple[tuple[int, ...], ...] = ()
) -> ImageView:
    """A grid over the whole picture: every pixel has a token.

    Args:
        height: Of the picture in pixels.
        width: Likewise.
        layout: Its tokens.
        seen: As for ``ImageView``.
    """
    # A square is stretched over the picture whose side is a whole number of rows and columns.
    side = layout.rows * layout.columns
    crop = Crop(height, width, side, resized_height=side, resized_width=side, top=0, left=0)
    return ImageView(layout, crop, side, seen)
