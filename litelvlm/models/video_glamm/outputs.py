"""What the stages of a VideoGLaMM hand on: the encoded clip, its visual block, and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.clip.states import ClipImage
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.view import ImageView
from litelvlm.pruning import Selection


@dataclass(frozen=True)
class ClipState:
    """Everything about one clip that no method and no expression changes.

    Attributes:
        clip: CLIP's states of the frames it read, each once.
        read: For each frame of the language model, its place in ``clip``; one frame for an image.
        view: Where the tokens lie that a method chooses from.
        tokens: Those tokens: CLIP's patch states, or pooled and projected ones.
        video_tokens: Pooled and projected tokens of the video tower, frame by frame; none of an
            image.
        sam_frames: The clip for SAM2.
        timings: Seconds per stage.
    """

    clip: ClipImage
    read: tuple[int, ...]
    view: ImageView
    tokens: Float[Tensor, "n d"]
    video_tokens: Float[Tensor, "v e"]
    sam_frames: Sam2Frames
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        """Whether it is one frame, which the video tower does not read."""
        return len(self.read) == 1


@dataclass(frozen=True)
class VisualBlock:
    """Visual tokens as the language model reads them.

    Attributes:
        tokens: In their order.
        offsets: Position of each behind the first one.
        span: Positions that they take up; the text starts after them.
    """

    tokens: Float[Tensor, "r e"]
    offsets: Int[Tensor, "r"]
    span: int


@dataclass(frozen=True)
class Spliced:
    """A conversation as the language model reads it.

    Attributes:
        embeds: Text and visual tokens.
        positions: Their rotary positions.
        ids: Token ids, with a placeholder for each frame.
        shift: What is at index i of the ids behind the placeholders is at ``i + shift``.
    """

    embeds: Float[Tensor, "s e"]
    positions: Int[Tensor, "s"]
    ids: tuple[int, ...]
    shift: int


@dataclass(frozen=True)
class Turn:
    """One answer, given or generated.

    Attributes:
        text: In words, without the end token.
        seg_state: State (after the final norm) that predicts its first [SEG]; None without one.
    """

    text: str
    seg_state: Float[Tensor, "e"] | None


@dataclass(frozen=True)
class Answered:
    """What the language model made of one entry, before any mask is decoded.

    Attributes:
        selection: Of the visual tokens.
        texts: Of its answers.
        found: Whether each holds a [SEG].
        seg_state: State behind each [SEG]; NaN without one.
        seconds: Per stage.
    """

    selection: Selection | None
    texts: tuple[str, ...]
    found: tuple[bool, ...]
    seg_state: Float[Tensor, "t e"]
    seconds: Mapping[str, float]
