"""VideoGLaMM as a grounding model: cues for methods, masks for conversations about clips."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.readouts import ranked_patches
from litelvlm.data.images import ImageSource
from litelvlm.finite import require_finite
from litelvlm.layout import Layout
from litelvlm.models.base import Conversation, Grounding, TowerGroundingModel
from litelvlm.models.sam2.timed import ClipCall
from litelvlm.models.segmenting import MAX_NEW_TOKENS, Stopwatch, checked_entries
from litelvlm.models.templates import filled_conversation
from litelvlm.models.timed import TimedModel
from litelvlm.models.video_glamm import prompts
from litelvlm.models.video_glamm.answers import generated_turns, given_turns
from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.cues import video_cues
from litelvlm.models.video_glamm.network import VideoGlammNetwork, pool_squares
from litelvlm.models.video_glamm.outputs import Answered, ClipState
from litelvlm.models.video_glamm.timed import VideoGlammCall
from litelvlm.pruning import Cues, ModelSizes, Pruner, Selection
from litelvlm.pruning.cue_table import OF_LANGUAGE_MODEL


class VideoGlamm(VideoGlammNetwork, TowerGroundingModel, TimedModel):
    """VideoGLaMM, the grounding model of clips and images of the official code."""

    family = "video_glamm"
    described = "a VideoGLaMM"
    n_questions, n_answers = len(prompts.QUESTIONS), len(prompts.ANSWERS)

    @property
    def n_layers(self) -> int:
        """Layers of the language model."""
        return len(self.phi3.model.layers)

    @property
    def lacks(self) -> frozenset[str]:
        """Cues of models without CLIP, and those that read the inside of the language model."""
        return super().lacks | OF_LANGUAGE_MODEL | {"rotary_cosine", "rotary_sine"}

    def check_method(self, pruner: Pruner, frames: int = 1, budget: int | None = None) -> None:
        """Refuse a method that cannot choose among the tokens of this model.

        Raises:
            ValueError: If it reads a cue that the model lacks, works inside the language model, or
                it or its budget does not go with the prune point.
        """
        if budget is not None and frames > 1:
            self.grids.checked(self.point, budget)
        if pruner.in_language_model:
            raise ValueError(
                f"method {pruner.name!r} works inside the language model, where {self.name!r} of "
                f"family {self.family!r} changes nothing; take one that chooses before it"
            )
        if pruner.stage == "vit" and frames > 1 and self.point.pooled:
            raise ValueError(
                f"method {pruner.name!r} merges tokens inside the image tower, before they are "
                f"pooled; take prune_point V2 instead of {self.point.name}"
            )
        pruner.check_frames(frames, each=self.point.by_frame)
        super().check_method(pruner)

    def language_tokens(self, layout: Layout, kept: int | None = None) -> int:
        """Those of both towers, as the prune point leaves them; an image has those of CLIP."""
        if layout.frames == 1:
            return super().language_tokens(layout, kept)
        return self.grids.flow(None if kept is None else self.point, kept)[-1].total

    def unknown_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Those of CLIP, but for words that the language model learned from clips."""
        return tuple(word for word in super().unknown_words(texts) if word not in self.config.words)

    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to; CLIP's last block is not read."""
        return ModelSizes(n_tokens, self.tower.n_blocks - 1, self.n_layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(parameter.nbytes for parameter in self.parameters())

    @torch.inference_mode()
    def timed_call(
        self,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> VideoGlammCall:
        """Prepare one call about all expressions in one conversation."""
        call = VideoGlammCall(ClipCall.of(self, image, expressions, pruner, budget), self)
        _ = call.n_read  # what a method cannot choose is refused now
        return call

    def question(self, expression: str, question_index: int = 0) -> str:
        """The sentence that asks about an expression in an image."""
        return prompts.question(expression, question_index)

    def conversation(
        self,
        expressions: Sequence[str],
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation about an image."""
        return self.clip_conversation(expressions, 1, question_index, answer_index)

    def clip_conversation(
        self,
        expressions: Sequence[str],
        frames: int,
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation about a clip, or about an image, which is one frame."""
        question = partial(prompts.question, frames=frames)
        return filled_conversation(
            question, prompts.ANSWERS, expressions, question_index, answer_index
        )

    def encode_image(self, image: ImageSource) -> ClipState:
        """Run CLIP on one image; the video tower does not read images.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read, or a state is NaN or infinite.
        """
        return self.encode_clip([image])

    @torch.inference_mode()
    def encode_clip(self, frames: Sequence[ImageSource]) -> ClipState:
        """Run CLIP and the video tower on a clip (see ``VideoGlammNetwork.encode``)."""
        return self.encode(frames)

    def last_layer_embeds(  # type: ignore[override]  # states are those of this family
        self, state: ClipState
    ) -> Float[Tensor, "n p"]:
        """Patch states of CLIP's last layer in the joint space, not normalised, at the tokens."""
        embeds = ranked_patches(state.clip, "last")
        if self.point.pooled and not state.is_image:
            embeds = pool_squares(embeds, self.grids.pooled)
        return embeds[list(state.read)].flatten(0, 1)

    def cues(  # type: ignore[override]  # states are those of this family
        self,
        state: ClipState,
        conversation: Conversation,
        coverage: Float[Tensor, "*n"] | None = None,
        key: int = 0,
    ) -> Cues:
        """Offer what a method may read (see ``GroundingModel.cues``).

        CLIP reads the questions as full sentences. At a prune point behind the pooling every cue is
        pooled as the tokens are.
        """
        return video_cues(self, state, conversation, coverage, key)

    @torch.inference_mode()
    def ground(  # type: ignore[override]  # states are those of this family
        self,
        states: Sequence[ClipState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
        answer: str = "forced",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Grounding]:
        """Decode masks (see ``GroundingModel.ground``).

        Each entry is read by itself; masks of neighbours about one clip are decoded together.
        Generated answers are greedy, where the official evaluation samples up to 512 tokens. Each
        runs to its end, and its first [SEG] counts.

        Raises:
            ValueError: As there, or if the prune point does not take a selection.
        """
        entries = checked_entries(states, conversations, selections, answer)
        answered = [self._answered(*entry, answer, max_new_tokens) for entry in entries]
        found, places = list[Grounding](), range(len(entries))
        for _, group in groupby(places, lambda place: id(entries[place][0])):
            same = list(group)
            found += self._drawn(entries[same[0]][0], [answered[place] for place in same])
        return found

    def _answered(
        self,
        state: ClipState,
        conversation: Conversation,
        selection: Selection | None,
        answer: str,
        limit: int,
    ) -> Answered:
        watch = Stopwatch(self.device)
        with watch("projector"):
            block = visual_block(self, state, selection)
        with watch("llm"):
            n_frames = len(state.read)
            if answer == "forced":
                turns = given_turns(self, block, conversation, n_frames)
            else:
                turns = generated_turns(self, block, conversation, n_frames, limit)
        found = tuple(turn.seg_state is not None for turn in turns)
        nothing = block.tokens.new_full(block.tokens.shape[1:], float("nan"))
        seg_state = torch.stack([nothing if t.seg_state is None else t.seg_state for t in turns])
        require_finite(seg_state[list(found)], "the language model's state for [SEG]")
        texts = tuple(turn.text for turn in turns)
        return Answered(selection, texts, found, seg_state, watch.seconds)

    def _drawn(self, state: ClipState, answered: Sequence[Answered]) -> Iterator[Grounding]:
        """Decode the masks of all answers about one clip together; they share the time."""
        watch, counts = Stopwatch(self.device), [len(one.found) for one in answered]
        with watch("mask_decoder"):
            embeds: Tensor = self.seg_head(torch.cat([one.seg_state for one in answered]))
            found = [has_seg for one in answered for has_seg in one.found]
            logits = self.masker.begin(state).decode_found(embeds, found)
        for one, own, masks in zip(
            answered, embeds.split(counts), logits.split(counts), strict=True
        ):
            share = {stage: s * len(own) / len(embeds) for stage, s in watch.seconds.items()}
            seconds = {**one.seconds, **share}
            yield Grounding(
                masks, one.seg_state, own, (one.selection,), seconds, one.texts, one.found
            )
