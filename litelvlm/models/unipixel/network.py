"""UniPixel's parts and steps: encode a clip, read a conversation, embed the states of masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
    Sam2VideoModel,
)

from litelvlm.data.images import ImageSource
from litelvlm.layout import Layout
from litelvlm.models.requests import Conversation
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.sam2.masker import ClipMasker
from litelvlm.models.sam2.preprocess import stretched
from litelvlm.models.segmenting import Stopwatch
from litelvlm.models.unipixel.frames import CELL, PATCH, frame_view, patch_rows, sampled
from litelvlm.models.unipixel.language import Answer, Reading
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.unipixel.positions import prompt_positions, selected_positions
from litelvlm.models.unipixel.prompts import END, SEG, answer_text, user_turn
from litelvlm.models.unipixel.state import UniPixelState
from litelvlm.models.vlm_base.layer_view import head_rows
from litelvlm.models.vlm_base.tower import TowerSignals, tower_watched
from litelvlm.pruning import Selection


class ClipPrompt(NamedTuple):
    """A prompt with all visual tokens of a clip.

    Attributes:
        ids: Token ids, one placeholder per visual token.
        positions: Of each token on three axes.
        start: Index of the first visual token.
    """

    ids: Int[Tensor, "s"]
    positions: Int[Tensor, "3 s"]
    start: int


class TurnStates(NamedTuple):
    """What the language model gives for one conversation.

    Attributes:
        states: State before the final norm that predicts each turn's first token of a mask; NaN
            where none came.
        answers: Answer of each turn.
        found: Whether each holds the token of a mask.
    """

    states: Float[Tensor, "t d"]
    answers: tuple[str, ...]
    found: tuple[bool, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class UniPixelNetwork:
    """Image tower -> selection -> language model -> state that predicts a mask -> SAM2.1.

    Attributes:
        qwen: Qwen2.5-VL: image tower, merger, language model.
        seg_head: Language model's width to SAM2's prompt tokens.
        sam2: Image encoder, memory and mask decoder.
        tokenizer: Of Qwen2.5-VL, with the tokens of UniPixel.
        seg_token_id: Of the token of a mask.
        video_token_id: Of the placeholder.
        end_token_id: Of the token that ends an answer.
        options: Open choices.

    Source: official code, revision 5c8e941.
    """

    qwen: Qwen2_5_VLForConditionalGeneration
    seg_head: nn.Module
    sam2: Sam2VideoModel
    tokenizer: PreTrainedTokenizerBase
    seg_token_id: int
    video_token_id: int
    end_token_id: int
    options: UniPixelOptions

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        found: torch.device = self.qwen.device
        return found

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        found: torch.dtype = self.qwen.dtype
        return found

    @property
    def masker(self) -> ClipMasker:
        """Decoder of all masks. An image is a clip of one frame."""
        return ClipMasker(self.sam2, numbers=self.options.memory)

    @torch.inference_mode()
    def encode_clip(self, frames: Sequence[ImageSource]) -> UniPixelState:
        """Run the image tower on the frames that it reads, and SAM2's on the first.

        SAM2 encodes the others when their masks are decoded, all of them.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If there is no frame, one cannot be read, or they differ in size.
        """
        watch = Stopwatch(self.device)
        clip = Sam2Frames(self.sam2, frames, stretched)
        view = frame_view(*clip.size, len(clip))
        with watch("preprocess"):
            rows = patch_rows([clip.image(n) for n in sampled(len(clip))])
        with watch("vision"):
            tokens, seen = self.look(rows, view.layout)
        with watch("sam_encoder"):
            clip.features(0)
        return UniPixelState(view, tokens, seen, clip, watch.seconds)

    def look(
        self, patches: Float[Tensor, "p e"], layout: Layout
    ) -> tuple[Float[Tensor, "n d"], TowerSignals]:
        """Run the image tower over the patches of the frames that it reads.

        Raises:
            ValueError: If the release of transformers shows nothing of the tower's inside.
        """
        given, merge = patches.to(self.device, self.dtype), CELL // PATCH
        grid = torch.tensor([[layout.frames, layout.rows * merge, layout.columns * merge]])
        with tower_watched(self.qwen, "groups") as signals:
            out = self.qwen.model.get_video_features(given, grid.to(self.device), return_dict=True)
            seen = signals()
        if seen is None:
            raise ValueError("the image tower of this release of transformers cannot be read")
        return out.pooler_output[0], seen

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a piece of the chat."""
        return [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def prompt(self, state: UniPixelState, text: str) -> ClipPrompt:
        """Tokenise a prompt and repeat the placeholder once per visual token."""
        ids, layout = self.text_ids(text), state.view.layout
        start = ids.index(self.video_token_id)
        whole = [*ids[:start], *[self.video_token_id] * layout.n_tokens, *ids[start + 1 :]]
        positions = prompt_positions(
            len(whole),
            start,
            layout,
            float(self.qwen.model.visual.config.tokens_per_second),
            self.options.text_positions,
        )
        return ClipPrompt(torch.tensor(whole), positions, start)

    def begun(
        self, state: UniPixelState, prompt: ClipPrompt, selection: Selection | None
    ) -> tuple[Reading, Float[Tensor, "s d"]]:
        """Read a prompt with the chosen visual tokens; gives its states before the final norm.

        Raises:
            ValueError: If the selection is of another clip.
        """
        reading = Reading(self.qwen)
        return reading, reading.read(*self.spliced(state, prompt, selection))

    def spliced(
        self, state: UniPixelState, prompt: ClipPrompt, selection: Selection | None
    ) -> tuple[Float[Tensor, "s d"], Int[Tensor, "3 s"]]:
        """A prompt with the chosen visual tokens, and the position of each of its tokens.

        Raises:
            ValueError: If the selection is of another clip.
        """
        embed, visual = Reading(self.qwen).embed, state.tokens
        end = prompt.start + len(visual)
        positions = prompt.positions
        if selection is not None:
            if selection.n_tokens != len(visual):
                raise ValueError(
                    f"the selection is made among {selection.n_tokens} visual tokens, and the clip "
                    f"has {len(visual)}; select with the cues of this clip"
                )
            positions = selected_positions(positions, prompt.start, selection)
            chosen = selection.tokens
            visual = visual[selection.indices.to(visual.device)] if chosen is None else chosen
        before, after = (embed(part) for part in (prompt.ids[: prompt.start], prompt.ids[end:]))
        return torch.cat([before, visual.to(before.dtype), after]), positions

    def answered(self, state: UniPixelState, conversation: Conversation) -> ClipPrompt:
        """The prompt with the conversation's own answers."""
        turns = zip(conversation.questions, conversation.answers, strict=True)
        text = "".join(
            user_turn(asked, first=not place) + answer_text(said)
            for place, (asked, said) in enumerate(turns)
        )
        return self.prompt(state, text)

    def seg_places(self, prompt: ClipPrompt) -> Int[Tensor, "t"]:
        """Columns whose states predict the tokens of masks."""
        return (prompt.ids == self.seg_token_id).nonzero().flatten() - 1

    def read_given(
        self, state: UniPixelState, conversation: Conversation, selection: Selection | None
    ) -> TurnStates:
        """Read the conversation's own answers, one for each question, all in one pass."""
        prompt = self.answered(state, conversation)
        _, states = self.begun(state, prompt, selection)
        cut = len(prompt.ids) - len(states)
        found = states[(self.seg_places(prompt) - cut).to(states.device)]
        return TurnStates(found, conversation.answers, (True,) * len(found))

    def attention_to_clip(
        self, state: UniPixelState, prompt: ClipPrompt, queries: Int[Tensor, "q"]
    ) -> Float[Tensor, "n layers"]:
        """Attention from some tokens to the visual tokens, mean over tokens and heads, unpruned."""
        rows = head_rows(
            self.qwen.model.language_model,
            lambda: self.begun(state, prompt, None),
            queries.to(self.device),
            prompt.start,
            prompt.start + len(state.tokens),
        )
        return rows.mean(1).T

    def generate(
        self,
        state: UniPixelState,
        conversation: Conversation,
        selection: Selection | None,
        most: int,
        whole: bool = False,
    ) -> tuple[TurnStates, list[Answer]]:
        """Let the model answer greedily, turn after turn.

        Args:
            state: The encoded clip.
            conversation: Its questions.
            selection: Visual tokens to read.
            most: Tokens of the longest answer.
            whole: Whether the last answer goes on behind its first mask, which alone counts.
        """
        answers, texts = list[Answer](), list[str]()
        reading, last = None, len(conversation.questions) - 1
        for turn, asked in enumerate(conversation.questions):
            text = user_turn(asked, first=not turn)
            if reading is None:
                reading, _ = self.begun(state, self.prompt(state, text), selection)
            else:  # the last token generated was not read yet
                said = [answers[-1].ids[-1]]
                said += [self.end_token_id] if said != [self.end_token_id] else []
                reading.read(reading.embed(torch.tensor([*said, *self.text_ids(text)])))
            until = self.seg_token_id if turn == last and not whole else self.end_token_id
            answers.append(reading.answer({self.end_token_id, until}.__contains__, most))
            words = str(self.tokenizer.decode(list(answers[-1].ids)))
            texts.append(words.removesuffix(END).replace(SEG, "[SEG]"))
        found = [answer.state_of(self.seg_token_id) for answer in answers]
        nothing = torch.full_like(answers[0].states[0], float("nan"))
        states = torch.stack([nothing if one is None else one for one in found])
        return TurnStates(states, tuple(texts), tuple(one is not None for one in found)), answers
