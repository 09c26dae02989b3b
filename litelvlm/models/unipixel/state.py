"""One clip after UniPixel's image towers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.view import ImageView
from litelvlm.models.vlm_base.tower import TowerSignals


@dataclass(frozen=True, eq=False)
class UniPixelState:
    """An encoded clip.

    Attributes:
        view: Where the visual tokens lie.
        tokens: Visual tokens in the language model's input space, frames x rows x columns.
        signals: What the tower's last block showed.
        sam_frames: The frames for SAM2, which encodes each when its mask is decoded.
        timings: Seconds per stage of the encoding.
    """

    view: ImageView
    tokens: Float[Tensor, "n d"]
    signals: TowerSignals
    sam_frames: Sam2Frames
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return len(self.sam_frames)
