"""One call of a UniPixel, part by part, as a bench times it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedConfig

from litelvlm.models.sam2.timed import SAM2, Sam2Call
from litelvlm.models.unipixel.frames import patch_rows, sampled
from litelvlm.models.unipixel.language import Reading
from litelvlm.models.unipixel.network import UniPixelNetwork


@dataclass(frozen=True, eq=False)
class UniPixelCall(Sam2Call):
    """One call.

    Attributes:
        model: The UniPixel.
    """

    model: UniPixelNetwork

    @cached_property
    def _prompt(self) -> tuple[int, Float[Tensor, "s d"], Int[Tensor, "3 s"]]:
        """How many visual tokens are read, and the prompt with them."""
        model = self.model
        state = model.encode_clip(self.asked.frames)
        prompt = model.answered(state, self.asked.conversation)
        embeds, positions = model.spliced(state, prompt, self.asked.choose(state))
        left_out = len(prompt.ids) - len(embeds)
        return len(state.tokens) - left_out, embeds, positions

    @property
    def language(self) -> PreTrainedConfig:
        """Sizes of Qwen2.5's decoder."""
        return self.model.qwen.config.get_text_config()

    @property
    def n_read(self) -> int:
        """Those that the method keeps."""
        return self._prompt[0]

    @property
    def n_other(self) -> int:
        """Tokens of the text."""
        n_read, embeds, _ = self._prompt
        return len(embeds) - n_read

    def prefill(self) -> None:
        """The language model alone on one prompt, which it reads into a cache."""
        self._read()

    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer greedily."""
        self._read().answer(stop, n_tokens + 2)  # ``stop`` is not called for the last token

    def _read(self) -> Reading:
        _, embeds, positions = self._prompt
        reading = Reading(self.model.qwen)
        reading.read(embeds, positions)
        return reading

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Image tower, choice and SAM2."""
        model = self.model
        state = model.encode_clip(self.asked.frames)
        clip, layout = state.sam_frames, state.view.layout
        patches = patch_rows([clip.image(place) for place in sampled(len(clip))])
        width = int(self.language.hidden_size)
        seg = state.tokens.new_zeros(len(self.asked.conversation.questions), width)

        def sam2() -> Tensor:
            unread = replace(state, sam_frames=clip.unread())
            return model.masker.begin(unread).decode(model.seg_head(seg))

        found: dict[str, Callable[[], object]] = {
            "vision": lambda: model.look(patches, layout),
            SAM2: sam2,
        }
        if self.asked.pruner is not None:
            found["selection"] = lambda: self.asked.choose(state)
        return found
