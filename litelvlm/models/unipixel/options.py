"""Open choices inside a UniPixel; every default is the official code's choice.

The exception is how a clip's tokens are chosen: the official code prunes nothing.
"""

from dataclasses import dataclass
from typing import Literal

from litelvlm.models.options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class UniPixelOptions(ModelOptions):
    """The choices.

    Attributes:
        text_positions: Where the text behind the visual tokens continues. "pinned": behind the
            largest position on any axis, time included, as in the release of transformers that the
            official code pins. "library": behind the larger of rows and columns, as in today's
            releases. They differ on long clips of few rows and columns.
        frames: How a clip's tokens are chosen: in "each" group of frames with an equal part of the
            budget, or among all "together".
        memory: How SAM2 keeps what it remembers of earlier frames: "exact" in the model's number
            type, or rounded to "bfloat16", as the library's own class does.
    """

    text_positions: Literal["pinned", "library"] = "pinned"
    frames: Literal["each", "together"] = "each"
    memory: Literal["exact", "bfloat16"] = "exact"
