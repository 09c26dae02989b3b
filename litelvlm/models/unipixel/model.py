"""UniPixel as a grounding model: cues for methods, masks of images and clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.data.images import ImageSource
from litelvlm.finite import require_finite
from litelvlm.models.base import Conversation, Grounding, GroundingModel, ImageView
from litelvlm.models.sam2.timed import ClipCall
from litelvlm.models.segmenting import MAX_NEW_TOKENS, Stopwatch, checked_entries
from litelvlm.models.timed import TimedModel
from litelvlm.models.unipixel import prompts
from litelvlm.models.unipixel.cues import LACKS, SUBSTITUTES, clip_cues
from litelvlm.models.unipixel.frames import frame_view
from litelvlm.models.unipixel.network import UniPixelNetwork
from litelvlm.models.unipixel.state import UniPixelState
from litelvlm.models.unipixel.timed import UniPixelCall
from litelvlm.pruning import Cues, LayerPlan, Pruner, Selection
from litelvlm.pruning.budgets import ModelSizes

SEG_STATE = "the state that predicts the mask"


@dataclass(frozen=True, eq=False, kw_only=True)
class UniPixel(UniPixelNetwork, GroundingModel, TimedModel):
    """UniPixel, which reads images as clips of one frame.

    Attributes:
        name: The name it was loaded by.
        digest: sha256 over its files; "random" for random weights.
    """

    name: str
    digest: str
    family = "unipixel"
    described = "a UniPixel"
    n_questions = len(prompts.QUESTIONS)
    n_answers = len(prompts.ANSWERS)
    substitutes = SUBSTITUTES

    @property
    def n_layers(self) -> int:
        """Layers of the language model."""
        return len(self.qwen.model.language_model.layers)

    @property
    def lacks(self) -> frozenset[str]:
        """Cues that neither the image tower nor the words in the language model give."""
        return LACKS

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernels of the parts."""
        return {
            "qwen": str(self.qwen.config._attn_implementation),
            "sam2": str(self.sam2.config._attn_implementation),
        }

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        parts = (self.qwen, self.seg_head, self.sam2)
        return sum(weight.nbytes for part in parts for weight in part.parameters())

    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to."""
        return ModelSizes(n_tokens, len(self.qwen.model.visual.blocks), self.n_layers)

    def view(self, height: int, width: int) -> ImageView:
        """Where the visual tokens of an image of this size lie; runs no model."""
        return self.clip_view(height, width, 1)

    def clip_view(self, height: int, width: int, frames: int) -> ImageView:
        """Where the visual tokens of a clip lie: of 16 frames at most, two by two."""
        return frame_view(height, width, frames)

    def check_method(self, pruner: Pruner, frames: int = 1, budget: int | None = None) -> None:
        """Refuse a method that reads what the model lacks, or acts inside one of its parts."""
        each = self.options.frames == "each"
        pruner.check_frames(frames, each)
        super().check_method(pruner)
        if budget is not None and budget < frames and each:
            raise ValueError(
                f"budget {budget} is too small for {frames} groups of frames; give at least "
                f"{frames}, one for each, or load the model with the option frames=together"
            )
        if pruner.in_language_model or pruner.stage == "vit":
            inside = "image tower" if pruner.stage == "vit" else "language model"
            raise ValueError(
                f"method {pruner.name!r} works inside the {inside}, which {self.name!r} of family "
                f"{self.family!r} runs whole; take a method that chooses between the two, for "
                "example 'divprune'"
            )

    @torch.inference_mode()
    def timed_call(
        self,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> UniPixelCall:
        """Prepare one call about all expressions in one conversation."""
        call = UniPixelCall(ClipCall.of(self, image, expressions, pruner, budget), self)
        _ = call.n_read  # what a method cannot choose is refused now
        return call

    def question(self, expression: str, question_index: int = 0) -> str:
        """The sentence that asks about an expression (``prompts.QUESTIONS``)."""
        return prompts.question(expression, question_index)

    def conversation(
        self,
        expressions: Sequence[str],
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation about an image in UniPixel's words."""
        return self.clip_conversation(expressions, 1, question_index, answer_index)

    def clip_conversation(
        self,
        expressions: Sequence[str],
        frames: int,
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation about a clip (``prompts.conversation``)."""
        return prompts.conversation(expressions, frames, question_index, answer_index)

    def encode_image(self, image: ImageSource) -> UniPixelState:
        """Run the image towers on one image, a clip of one frame."""
        return self.encode_clip([image])

    @torch.inference_mode()
    def cues(  # type: ignore[override]  # states are those of this family
        self,
        state: UniPixelState,
        conversation: Conversation,
        coverage: Float[Tensor, "*n"] | None = None,
        key: int = 0,
    ) -> Cues:
        """Offer what a method may read (``cues.clip_cues``)."""
        return clip_cues(self, state, conversation, coverage, key)

    @torch.inference_mode()
    def ground(  # type: ignore[override]  # states are those of this family
        self,
        states: Sequence[UniPixelState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
        answer: str = "forced",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Grounding]:
        """Decode masks, one entry after the other (see ``GroundingModel.ground``).

        Generated answers are greedy, as in the official evaluation; the first token of a mask
        counts.

        Raises:
            ValueError: As there, or if a selection was made inside the language model.
        """
        entries = checked_entries(states, conversations, selections, answer)
        return [self._ground(*entry, answer, max_new_tokens) for entry in entries]

    def _ground(
        self,
        state: UniPixelState,
        conversation: Conversation,
        selection: Selection | None,
        answer: str,
        max_new_tokens: int,
    ) -> Grounding:
        if selection is not None and (
            isinstance(selection, LayerPlan) or selection.sizes is not None
        ):
            raise ValueError(
                "the selection changes the inside of the language model, which a UniPixel runs "
                "whole; take a method that only chooses or merges tokens"
            )
        watch = Stopwatch(self.device)
        with watch("llm"):
            if answer == "forced":
                turns = self.read_given(state, conversation, selection)
            else:
                turns, _ = self.generate(state, conversation, selection, max_new_tokens)
        found = [place for place, one in enumerate(turns.found) if one]
        require_finite(turns.states[found], SEG_STATE)
        with watch("mask_decoder"):
            embeds = self.seg_head(turns.states)
            logits = self.masker.begin(state).decode_found(embeds, turns.found)
        return Grounding(
            logits, turns.states, embeds, (selection,), watch.seconds, turns.answers, turns.found
        )
