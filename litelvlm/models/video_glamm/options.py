"""Open choices inside a VideoGLaMM as typed options; every default is the official code's choice.

The exception is the prune point: the official code prunes nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from litelvlm.models.options import ModelOptions
from litelvlm.pruning.options import Bounds

FrameCount = Literal[8, 16]
"""Frames that the language model may see of a clip."""
Window = Literal["published", "none"] | Annotated[int, Bounds(1, 2_097_153)]
"""How many tokens a token sees; no checkpoint has a larger window."""


@dataclass(frozen=True, kw_only=True)
class VideoGlammOptions(ModelOptions):
    """Choices that paper, official code and common practice make differently or leave open.

    Attributes:
        num_frames: Frames that the language model sees of a clip. The official code reads the
            number from the environment; both are in use. None takes what ``config.json`` says, or
            16, as published files do not say.
        window: Whether a token sees itself and the last ``sliding_window`` tokens before it
            ("published", one more than today's library makes of that number), all before it
            ("none"), or so many tokens, itself included.
        masks: "memory" follows an object through the clip; "framewise" decodes every frame anew.
        prune_point: Which visual tokens a method chooses from (see ``points``).

    Raises:
        ValueError: If a value is not one of these.
    """

    num_frames: FrameCount | None = None
    window: Window = "published"
    masks: Literal["memory", "framewise"] = "memory"
    prune_point: Literal["V1", "V2", "V3", "V4", "V5"] = "V3"
