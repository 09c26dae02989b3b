"""Draw the atlas of pictures: ``python -m litelvlm.data.worlds.pictograms.atlas FONT``.

FONT is Noto Color Emoji as Debian's package ``fonts-noto-color-emoji`` installs it. The atlas
holds one square picture with transparency for each emoji of the table of categories, in its order.
The font's licence, the SIL Open Font License 1.1, covers the pictures too and lies beside them.
"""

import argparse
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from litelvlm.data.files import atomic_write
from litelvlm.data.worlds.pictograms.categories import pictures

ATLAS = Path(__file__).parent / "atlas.png"
SIDE, COLUMNS = 96, 12
_STRIKE = 109  # the only size of the font's bitmaps


def draw_picture(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One emoji, cropped to what it shows and centred in a transparent square of ``SIDE`` pixels.

    Raises:
        ValueError: If the font has no such emoji, or shows it as several.
    """
    canvas = Image.new("RGBA", (4 * _STRIKE, 2 * _STRIKE))
    ImageDraw.Draw(canvas).text((_STRIKE // 4, _STRIKE // 4), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None or box[2] - box[0] > 1.6 * _STRIKE:
        raise ValueError(
            f"the font shows {emoji!r} as nothing or as several pictures; give NotoColorEmoji.ttf"
        )
    found = canvas.crop(box)
    longest = max(found.size)
    square = Image.new("RGBA", (longest, longest))
    square.paste(found, ((longest - found.width) // 2, (longest - found.height) // 2))
    return square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def draw_atlas(font_file: Path) -> Image.Image:
    """All pictures, ``COLUMNS`` in a row.

    Raises:
        RuntimeError: If Pillow cannot join the characters of one emoji.
    """
    if not features.check("raqm"):
        raise RuntimeError("Pillow was built without raqm, which joins emoji; install its wheel")
    font = ImageFont.truetype(str(font_file), _STRIKE)
    every = pictures()
    rows = -(-len(every) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * SIDE, rows * SIDE))
    for place, (_, emoji) in enumerate(every):
        row, column = divmod(place, COLUMNS)
        atlas.paste(draw_picture(emoji, font), (column * SIDE, row * SIDE))
    return atlas


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("font", type=Path, help="NotoColorEmoji.ttf")
    parser.add_argument("--out", type=Path, default=ATLAS, help="the atlas (PNG)")
    arguments = parser.parse_args()
    buffer = io.BytesIO()
    draw_atlas(arguments.font).save(buffer, "PNG", optimize=True)
    atomic_write(arguments.out, buffer.getvalue())


if __name__ == "__main__":
    main()
