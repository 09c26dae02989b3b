"""The contract between model families and everything that uses a grounding model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.tower import Tower
from litelvlm.data.images import ImageSource
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
    "ImageView",
    "Request",
    "TowerModel",
    "VisualLM",
    "VisualState",
    "tower_view",
]


class TowerModel(ABC):
    """A model whose visual tokens come from an image tower.

    Studies that read nothing but CLIP need no more than this.

    Attributes:
        name: The name it was loaded by, with every option that differs from the official code.
        digest: sha256 over weights, configuration and tokenizers; "random" for random weights.
        tower: Image and text tower.
    """

    name: str
    digest: str
    tower: Tower

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

    def view(self, height: int, width: int) -> ImageView:
        """What the visual tokens see of an image of this size in pixels; runs no model."""
        return tower_view(self.tower, height, width)


@runtime_checkable
class VisualLM(Protocol):
    """A vision-language model that answers in words and reads the visual tokens a method leaves.

    ``litelvlm.prune`` makes one of any supported model of transformers.
    """

    @property
    def token_counts(self) -> list[int]:
        """Visual tokens that the language model read of each image in the last call."""

    @property
    def layer_counts(self) -> list[list[int]]:
        """The same for every layer."""

    def cues(self, **given: object) -> list[Cues]:
        """What a method may read of each image of a call, computed when read.

        Args:
            **given: What the model's processor makes.
        """

    def forward(self, input_ids: Tensor | None = None, **given: object) -> Mapping[str, object]:
        """Run the model once; "logits" [b, s, vocabulary] are those of the shortened prompts.

        Args:
            input_ids: Token ids [b, s].
            **given: What else the model's processor makes.
        """

    def generate(
        self, inputs: Tensor | None = None, **given: object
    ) -> Tensor | Mapping[str, object]:
        """Generate answers behind the full prompts.

        Args:
            inputs: Token ids [b, s]; may be given as ``input_ids``.
            **given: What else the model's processor makes, and options of generation.
        """


class GroundingModel(TowerModel):
    """A model that answers referring expressions with masks.

    An encoded image is used with the model that made it, so a family may narrow ``VisualState`` to
    its own class in every signature.

    Attributes:
        family: Name of the family in ``litelvlm.models.families.FAMILIES``.
    """

    family: str

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

    def grounder(self, batch_size: int) -> Grounder:
        """Make what answers many requests about one image, with up to ``batch_size`` at once."""
        return BatchGrounder(self.ground, batch_size)
