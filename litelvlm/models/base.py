"""The contract between model families and everything that uses a grounding model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.tower import Tower
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


class IdentifiedModel(ABC):
    """A loaded model that a run can name in its key and in its record.

    Attributes:
        name: The name it was loaded by, with every option that differs from the official code.
        digest: sha256 over weights, configuration and tokenizers; "random" for random weights.
        described: What a study that asks for this seam needs, in words.
    """

    name: str
    digest: str
    described: ClassVar[str] = "any model"

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the weights lie."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""

    @property
    def clip_tower(self) -> Tower | None:
        """Both towers of its CLIP; None if it has no such towers."""
        return None

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernel of each part, by the name of the part; empty if no part says its own."""
        return {}


class StudiedModel(IdentifiedModel):
    """A model that is asked about expressions.

    What a study needs beyond this, it names (``Study.reads``).
    """

    @abstractmethod
    def view(self, height: int, width: int) -> ImageView:
        """What the visual tokens see of an image of this size in pixels; runs no model."""

    @abstractmethod
    def question(self, expression: str, question_index: int = 0) -> str:
        """The sentence that asks about an expression in the model's own words.

        A text tower that ranks the tokens reads it too.

        Args:
            expression: A referring expression; it is stripped and lower-cased.
            question_index: Question template.

        Raises:
            ValueError: If the expression is empty, or there is no such template.
        """

    @property
    def towers(self) -> tuple["TowerModel", ...]:
        """The model itself, where both towers of CLIP can rank its visual tokens by a text."""
        return ()

    @property
    def answering(self) -> tuple["VisualLM", ...]:
        """The model itself, where its language model can rank the visual tokens by a text."""
        return ()


class TowerModel(StudiedModel):
    """A model whose visual tokens come from an image tower.

    Studies that read nothing but CLIP need no more than this.

    Attributes:
        tower: Image and text tower.
    """

    tower: Tower
    described = "a model with both towers of CLIP"

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""
        return self.tower.grid

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning."""
        return self.grid[0] * self.grid[1]

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.tower.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        return self.tower.dtype

    @property
    def clip_tower(self) -> Tower:
        """Both towers."""
        return self.tower

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernel of the towers."""
        return {"clip": self.tower.attention_kernel}

    @property
    def towers(self) -> tuple["TowerModel", ...]:
        """The model itself."""
        return (self,)

    def view(self, height: int, width: int) -> ImageView:
        """What the visual tokens see of an image of this size in pixels; runs no model."""
        return tower_view(self.tower, height, width)


class QueriedModel(StudiedModel):
    """A model whose language model can be asked which visual tokens an answer rests on."""

    described = "a model whose language model can be read"

    @abstractmethod
    def query(
        self,
        image: ImageSource,
        expression: str,
        question_index: int = 0,
        batch_size: int | None = None,
    ) -> TokenQuery:
        """Ask about an expression in one of the family's question templates, unpruned.

        Args:
            image: The image; it is encoded once for everything that the query gives.
            expression: A referring expression.
            question_index: Question template.
            batch_size: Rows of the language model at once; None for as many as are safe.

        Raises:
            ValueError: If the image cannot be read, or there is no such template.
        """

    @abstractmethod
    def projected_image(self, image: ImageSource) -> Float[Tensor, "n d"]:
        """Projected visual tokens of an image, all of them."""


class VisualLM(QueriedModel):
    """A vision-language model that answers in words; it gives no masks.

    ``litelvlm.load_vlm`` makes one of a model of transformers.
    """

    described = "a model that answers in words and gives no masks"

    @property
    def answering(self) -> tuple["VisualLM", ...]:
        """The model itself."""
        return (self,)

    @abstractmethod
    def text_scores(
        self, image: ImageSource, questions: Sequence[str]
    ) -> Mapping[str, Float[Tensor, "t n"]]:
        """Scores of the visual tokens in place of CLIP's similarity, for several questions.

        Args:
            image: The image.
            questions: Sentences.

        Returns:
            By substitute: "input_similarity" (U2) and "llm_attention" (U5), which depend on the
            question, float32 on the CPU.
        """

    @abstractmethod
    def image_scores(self, image: ImageSource) -> Mapping[str, Float[Tensor, "n"]]:
        """Scores of the visual tokens that no text changes.

        Returns:
            By substitute: "received_attention" (U3) and "tower_value_norm" (U4), float32 on the
            CPU.
        """


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
