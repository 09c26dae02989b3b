"""One call of a grounding model whose masks come from SAM2, as a bench times it."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from litelvlm.data.images import ImageSource, open_image
from litelvlm.models.base import Conversation, Grounding, GroundingModel, VisualState
from litelvlm.models.segmenting import frames_of
from litelvlm.models.timed import TimedCall
from litelvlm.pruning import Pruner, Selection

SAM2 = "sam2"
"""Component of all work of SAM2: it encodes every frame, decodes masks and remembers them."""
_OF_SAM2 = ("sam_encoder", "mask_decoder")


@dataclass(frozen=True)
class ClipCall:
    """What one call asks of one clip; an image is a clip of one frame.

    Attributes:
        frames: Of the clip.
        conversation: Its questions and answers.
        pruner: Method; None for the unpruned model.
        choose: The tokens of the encoded clip that it keeps; None for all.
        segment: The whole call.
    """

    frames: Sequence[ImageSource]
    conversation: Conversation
    pruner: Pruner | None
    choose: Callable[[VisualState], Selection | None]
    segment: Callable[[], Grounding]

    @classmethod
    def of(
        cls,
        model: GroundingModel,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> "ClipCall":
        """The arguments of ``TimedModel.timed_call``.

        Raises:
            ValueError: If the model refuses the method at this budget.
        """
        frames = frames_of(image)
        first = open_image(frames[0])
        view = model.clip_view(first.height, first.width, len(frames))
        if pruner is not None:
            model.check_method(pruner, view.layout.frames, budget)
        kept = None if pruner is None else budget
        segment = partial(model.segment, frames, expressions, pruner, kept, "conversation")
        conversation = model.clip_conversation(expressions, len(frames))

        def choose(state: VisualState) -> Selection | None:
            if pruner is None:
                return None
            return pruner.select(model.cues(state, conversation), budget)

        return cls(frames, conversation, pruner, choose, segment)


@dataclass(frozen=True, eq=False)
class Sam2Call(TimedCall):
    """One call, whose stages the model tells.

    Attributes:
        asked: What it asks.
    """

    asked: ClipCall

    @property
    @abstractmethod
    def n_read(self) -> int:
        """Visual tokens that the language model reads."""

    @property
    def layer_counts(self) -> tuple[int, ...]:
        """As many in every layer."""
        return (self.n_read,) * int(self.language.num_hidden_layers)

    def whole(self) -> Mapping[str, float]:
        """From the frames to the masks of all of them, and its stages by the model's own watch."""
        seconds = self.asked.segment().timings
        own = {stage: value for stage, value in seconds.items() if stage not in _OF_SAM2}
        return own | {SAM2: sum(seconds.get(stage, 0.0) for stage in _OF_SAM2)}
