"""The contract between model families and everything that uses a grounding model."""

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from litelvlm.data.images import ImageSource
from litelvlm.models.attribution import TokenQuery
from litelvlm.models.requests import (
    BatchGrounder,
    Conversation,
    GroundedBatch,
    Grounder,
    Grounding,
    Request,
)
from litelvlm.models.studied import (
    IdentifiedModel,
    QueriedModel,
    StudiedModel,
    TowerModel,
    VisualLM,
    reads_images,
)
from litelvlm.models.view import ImageView, VisualState, tower_view
from litelvlm.pruning import Cues, Selection

__all__ = [
    "Conversation",
    "GroundedBatch",
    "Grounder",
    "Grounding",
    "GroundingModel",
    "IdentifiedModel",
    "ImageView",
    "QueriedModel",
    "Request",
    "StudiedModel",
    "TowerModel",
    "VisualLM",
    "VisualState",
    "tower_view",
]


class GroundingModel(TowerModel):
    """A model that answers referring expressions with masks.

    An encoded image is used with the model that made it, so a family may narrow ``VisualState`` to
    its own class in every signature.

    Attributes:
        family: Name of the family in ``litelvlm.models.families.FAMILIES``.
        n_questions: Question templates.
        n_answers: Answer templates.
    """

    family: str
    n_questions: int
    n_answers: int
    described = "a model that answers with masks"

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """Layers of the language model."""

    @abstractmethod
    def encode_image(self, image: ImageSource) -> VisualState:
        """Compute everything about one image that no method and no expression changes.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read.
        """

    def encode_clip(self, frames: Sequence[ImageSource]) -> VisualState:
        """The same for a clip; an image is a clip of one frame.

        Args:
            frames: In their order; each is read when it is needed.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If a frame cannot be read, or there are several, and the model reads images
                only.
        """
        if len(frames) != 1:
            raise ValueError(reads_images(self.name, len(frames)))
        return self.encode_image(frames[0])

    @abstractmethod
    def conversation(
        self,
        expressions: Sequence[str],
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation about expressions: a turn per expression, in the family's words.

        Later turns see earlier ones.

        Args:
            expressions: Referring expressions in the order of the turns.
            question_index: Question template of every turn, or one index per turn.
            answer_index: Answer template of every turn, or one index per turn.

        Raises:
            ValueError: If there is no expression, one is empty, or an index is out of range.
        """

    @abstractmethod
    def cues(
        self,
        state: VisualState,
        conversation: Conversation,
        coverage: Float[Tensor, "*n"] | None = None,
        key: int = 0,
    ) -> Cues:
        """Offer what a method may read about one image and one conversation, computed when read.

        Args:
            state: The encoded image.
            conversation: Its questions rank the tokens; oracles run the language model on it.
            coverage: Share of each token's patch that the true mask covers, for oracles only.
            key: Identity of the image; random methods draw the same tokens for equal keys.
        """

    @abstractmethod
    def ground(
        self,
        states: Sequence[VisualState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
    ) -> list[Grounding]:
        """Decode masks for a batch of (image, conversation, selection) entries.

        Args:
            states: Encoded images.
            conversations: One per image; their answers are given (teacher forcing).
            selections: One per image; None keeps every token.
        """

    def last_layer_embeds(self, state: VisualState) -> Float[Tensor, "n p"]:
        """Patch states of the image tower's last layer in the joint space, not normalised.

        Methods rank the states that the language model gets, which may be of an earlier layer.

        Raises:
            ValueError: If encoded images of this family do not keep them.
        """
        raise ValueError(
            f"this reads the last layer of the image tower, which encoded images of {self.name!r} "
            f"of family {self.family!r} do not keep; leave out what reads it"
        )

    def query_conversation(
        self, state: VisualState, conversation: Conversation, batch_size: int | None = None
    ) -> TokenQuery:
        """Ask which visual tokens the answers of a conversation rest on, unpruned.

        Args:
            state: The encoded image.
            conversation: Its questions and answers.
            batch_size: Rows of the language model at once; None for as many as are safe.

        Raises:
            ValueError: If the language model of this family cannot be read.
        """
        raise ValueError(
            f"this reads the inside of the language model, which {self.name!r} of family "
            f"{self.family!r} does not show; choose {QueriedModel.described}"
        )

    def grounder(self, batch_size: int) -> Grounder:
        """Make what answers many requests about one image, with up to ``batch_size`` at once."""
        return BatchGrounder(self.ground, batch_size)
