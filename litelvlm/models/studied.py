"""What a study asks of any model: its identity, its tokens' places, its questions and towers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.tower import Tower
from litelvlm.data.images import ImageSource
from litelvlm.layout import Layout
from litelvlm.models.attribution import TokenQuery
from litelvlm.models.view import ImageView, tower_view


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

    def clip_view(self, height: int, width: int, frames: int) -> ImageView:
        """What the visual tokens see of a clip of so many frames; an image has one.

        Raises:
            ValueError: If there are more, and the model reads images only.
        """
        if frames != 1:
            raise ValueError(reads_images(self.name, frames))
        return self.view(height, width)

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


class TowerModel(StudiedModel):
    """A model whose visual tokens come from an image tower.

    Studies that read nothing but CLIP need no more than this.

    Attributes:
        tower: Image and text tower.
    """

    tower: Tower
    described = "a model with both towers of CLIP"

    @property
    def layout(self) -> Layout:
        """How the tokens of every image lie."""
        return Layout(1, *self.tower.grid)

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning."""
        return self.layout.n_tokens

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

    @abstractmethod
    def text_scores(
        self, image: ImageSource, questions: Sequence[str]
    ) -> Mapping[str, Float[Tensor, "t n"]]:
        """Scores of the visual tokens in place of CLIP's similarity, for several questions.

        Args:
            image: The image.
            questions: Sentences.

        Returns:
            By substitute: "input_similarity" and "llm_attention", which depend on the
            question, float32 on the CPU.
        """

    @abstractmethod
    def image_scores(self, image: ImageSource) -> Mapping[str, Float[Tensor, "n"]]:
        """Scores of the visual tokens that no text changes.

        Returns:
            By substitute: "received_attention" and "tower_value_norm", float32 on the
            CPU.
        """


def reads_images(name: str, frames: int) -> str:
    """Message for a clip that a model of images is given."""
    return (
        f"the model {name!r} reads images, and the clip has {frames} frames; give it one frame at "
        "a time, or choose a model that reads clips"
    )
