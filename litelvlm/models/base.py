"""The contract between model families and everything that uses a grounding model."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.words import unknown_words
from litelvlm.data.images import ImageSource, open_image
from litelvlm.layout import Layout
from litelvlm.models.attribution import TokenQuery
from litelvlm.models.requests import (
    BatchGrounder,
    Conversation,
    GroundedBatch,
    Grounder,
    Grounding,
    Request,
)
from litelvlm.models.segmenting import (
    ANSWERS,
    MAX_NEW_TOKENS,
    PROTOCOLS,
    Stopwatch,
    checked_expressions,
    frames_of,
    joined,
    named_method,
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
from litelvlm.names import check_name
from litelvlm.pruning import Cues, ModelSizes, Pruner, Selection
from litelvlm.pruning.cue_table import OF_CLIP, SUBSTITUTES

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
    "TowerGroundingModel",
    "TowerModel",
    "VisualLM",
    "VisualState",
    "tower_view",
]


class GroundingModel(StudiedModel):
    """A model that answers referring expressions with masks, of an image or of a clip.

    Studies, pages and commands that ask for masks need no more than this. Towers are optional:
    without both of CLIP (``clip_tower`` is None), cues that read them are refused by name. An
    encoded clip is used with the model that made it, so a family may narrow ``VisualState`` to its
    own class in every signature.

    Attributes:
        family: Name of the family in ``litelvlm.models.families.FAMILIES``.
        n_questions: Question templates.
        n_answers: Answer templates.
        substitutes: Methods that its family has in place of those that rank by CLIP's text.
    """

    family: str
    n_questions: int
    n_answers: int
    substitutes: ClassVar[tuple[str, ...]] = ()
    described = "a model that answers with masks"

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """Layers of the language model."""

    @abstractmethod
    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to.

        Args:
            n_tokens: Visual tokens of the image or clip.
        """

    @property
    def lacks(self) -> frozenset[str]:
        """Cues that the model cannot give: without both towers of CLIP theirs, else what stands in.

        A family that lacks others as well says so here.
        """
        return OF_CLIP if self.clip_tower is None else SUBSTITUTES

    def language_tokens(self, layout: Layout, kept: int | None = None) -> int:
        """Visual tokens that the language model reads, which may be more than a method chose from.

        Args:
            layout: Of the tokens that a method chooses from.
            kept: How many of them are kept; None for an unpruned clip.
        """
        return layout.n_tokens if kept is None else kept

    def unknown_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Words that the model was never trained on, as far as a small CLIP tells."""
        return () if self.clip_tower is None else unknown_words(self.clip_tower, texts)

    def check_method(self, pruner: Pruner, frames: int = 1, budget: int | None = None) -> None:
        """Refuse a method that cannot choose among the tokens of this model.

        Args:
            pruner: The method.
            frames: Of the clip.
            budget: Tokens to keep, which a family may be unable to; None checks the method alone.

        Raises:
            ValueError: If it reads a cue that the model lacks, or takes one frame and gets several.
        """
        missing = sorted(pruner.needs & self.lacks)
        if missing:
            instead = ", ".join(map(repr, self.substitutes)) or "a method that does not"
            raise ValueError(
                f"method {pruner.name!r} reads {' and '.join(missing)}, which {self.name!r} of "
                f"family {self.family!r} cannot give; take {instead}"
            )
        pruner.check_frames(frames)

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

    def clip_conversation(
        self,
        expressions: Sequence[str],
        frames: int,
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """The same about a clip, for families whose words differ there; an image has one frame."""
        return self.conversation(expressions, question_index, answer_index)

    @abstractmethod
    def cues(
        self,
        state: VisualState,
        conversation: Conversation,
        coverage: Float[Tensor, "*n"] | None = None,
        key: int = 0,
    ) -> Cues:
        """Offer what a method may read about one clip and one conversation, computed when read.

        Args:
            state: The encoded clip.
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
        answer: str = "forced",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Grounding]:
        """Decode masks for a batch of (clip, conversation, selection) entries.

        Args:
            states: Encoded clips.
            conversations: One per clip.
            selections: One per clip; None keeps every token.
            answer: "forced" reads the conversations' own answers (teacher forcing). "generated"
                lets the model answer.
            max_new_tokens: Longest generated answer.

        Raises:
            ValueError: If the sequences differ in length or are empty, the kind of answer is none
                that the family gives, or a forced one is missing.
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
            state: The encoded clip.
            conversation: Its questions and answers.
            batch_size: Rows of the language model at once; None for as many as are safe.

        Raises:
            ValueError: If the language model of this family cannot be read.
        """
        raise ValueError(
            f"this reads the inside of the language model, which {self.name!r} of family "
            f"{self.family!r} does not show; choose {QueriedModel.described}"
        )

    def grounder(self, batch_size: int, answer: str = "forced") -> Grounder:
        """Make what answers many requests about one clip, with up to ``batch_size`` at once."""
        return BatchGrounder(partial(self.ground, answer=answer), batch_size)

    @torch.inference_mode()
    def segment(
        self,
        image: ImageSource | Sequence[ImageSource],
        text: str | Sequence[str],
        pruner: Pruner | str | None = None,
        budget: int | float | None = None,
        protocol: str = "single",
        answer: str = "forced",
        question_index: int = 0,
        answer_index: int = 0,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Grounding:
        """Segment what one or several expressions refer to in one image or clip.

        Args:
            image: PIL picture, NumPy array of uint8 [height, width, 3], path or encoded bytes; for
                a clip a sequence of these.
            text: One expression or several.
            pruner: Method that chooses visual tokens, or its name; None keeps all.
            budget: Tokens to keep, 1 to all of them, or their share of all, between 0 and 1;
                required with a pruner.
            protocol: "single" gives every expression its own pass and selection. "conversation"
                puts all into one conversation of several turns with one shared selection, as the
                official evaluation does.
            answer: "forced" gives the model a fixed answer to read, as the evaluation does
                (teacher forcing). "generated" lets the model answer; an answer without [SEG] gives
                no mask (see ``Grounding.found``).
            question_index: Question template.
            answer_index: Answer template of a forced answer.
            max_new_tokens: Longest generated answer.

        Returns:
            Masks in the order of the expressions: ``mask`` [T, H, W] of an image, ``masks``
            [T, F, H, W] of a clip. ``save("mask.png")`` of the result writes them.

        Raises:
            ValueError: If there is no expression, an empty one or one of more than 300 signs, the
                budget is missing or out of range, or the protocol unknown.

        Example:
            >>> from litelvlm import load_model, load_refer, get_pruner
            >>> model, sample = load_model("embedded"), load_refer("embedded", split="val")[0]
            >>> pruner = get_pruner("litelvlm")
            >>> result = model.segment(sample.image(), "the yellow giraffe", pruner, budget=48)
            >>> len(result.selection.indices)
            48
        """
        expressions = checked_expressions(text)
        check_name(protocol, PROTOCOLS, "protocol")
        check_name(answer, ANSWERS, "kind of answer")
        frames = frames_of(image)
        first = open_image(frames[0])
        view = self.clip_view(first.height, first.width, len(frames))
        method = named_method(pruner, budget, self.sizes(view.n_tokens))
        if method is not None:
            self.check_method(method[0], view.layout.frames, method[1])
        groups = [expressions] if protocol == "conversation" else [[e] for e in expressions]
        conversations = [
            self.clip_conversation(g, len(frames), question_index, answer_index) for g in groups
        ]
        state = self.encode_clip([first] if len(frames) == 1 else frames)
        watch = Stopwatch(self.device)
        with watch("selection"):
            selections = [
                None if method is None else method[0].select(self.cues(state, asked), method[1])
                for asked in conversations
            ]
        passes = [
            self.ground([state], [asked], [selection], answer, max_new_tokens)[0]
            for asked, selection in zip(conversations, selections, strict=True)
        ]
        unknown = self.unknown_words(expressions)
        return joined(passes, [state.timings, watch.seconds], unknown)


class TowerGroundingModel(GroundingModel, TowerModel):
    """A grounding model whose visual tokens come from CLIP's image tower."""

    described = "a model that answers with masks and has both towers of CLIP"
