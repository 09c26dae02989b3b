"""One call of a VideoGLaMM, part by part, as a bench times it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import Phi3Config

from litelvlm.data.images import open_image
from litelvlm.models.costs import clip_image_macs, transformer_macs
from litelvlm.models.sam2.timed import SAM2, Sam2Call
from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.language import generate, read_prompt
from litelvlm.models.video_glamm.network import VideoGlammNetwork
from litelvlm.models.video_glamm.outputs import Spliced
from litelvlm.models.video_glamm.preprocess import internvideo_pixel_values, language_frames


@dataclass(frozen=True, eq=False)
class VideoGlammCall(Sam2Call):
    """One call.

    Attributes:
        model: The VideoGLaMM.
    """

    model: VideoGlammNetwork

    @cached_property
    def _prompt(self) -> tuple[int, Spliced]:
        """How many visual tokens are read, and the prompt with them."""
        state = self.model.encode(self.asked.frames)
        block = visual_block(self.model, state, self.asked.choose(state))
        spliced = self.model.splice(block, self.asked.conversation, len(state.read))
        return len(block.tokens), spliced

    @property
    def language(self) -> Phi3Config:
        """Sizes of Phi-3."""
        return self.model.phi3.config

    @property
    def n_read(self) -> int:
        """Those of CLIP and of the video tower, as the prune point leaves them."""
        return self._prompt[0]

    @property
    def n_other(self) -> int:
        """Tokens of the text."""
        n_read, spliced = self._prompt
        return len(spliced.embeds) - n_read

    def prefill(self) -> None:
        """The language model alone on one prompt."""
        _, spliced = self._prompt
        read_prompt(self.model.phi3, spliced.embeds, spliced.positions)

    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer greedily."""
        _, spliced = self._prompt
        # ``stop`` is not called for the last token.
        generate(self.model.phi3, spliced.embeds, spliced.positions, stop, n_tokens + 2)

    @property
    def _shown(self) -> tuple[int, ...]:
        """Frames that the language model sees."""
        n_frames = len(self.asked.frames)
        return language_frames(n_frames, self.model.grids.frames) if n_frames > 1 else (0,)

    def macs(self) -> Mapping[str, int]:
        """Of both towers and the language model.

        CLIP reads a frame once that is seen twice. The video tower reads it twice, and its
        projector is counted with it.
        """
        model, shown = self.model, self._shown
        image = clip_image_macs(model.tower.vision_config, model.n_tokens)
        found = {"clip_image": len(set(shown)) * image, **super().macs()}
        if len(shown) > 1:
            found["video_tower"] = len(shown) * video_macs(model) // model.video_tower.sizes.frames
        return found

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Towers, projector, choice and SAM2."""
        model, frames = self.model, self.asked.frames
        state = model.encode(frames)
        selection = self.asked.choose(state)
        seg = state.video_tokens.new_zeros(len(self.asked.conversation.questions), self._width)

        def projector() -> Tensor:
            offered = model.offered_tokens(state.clip, state.read)
            return visual_block(model, replace(state, tokens=offered), selection).tokens

        def sam2() -> Tensor:
            unread = replace(state, sam_frames=state.sam_frames.unread())
            return model.masker.begin(unread).decode(model.seg_head(seg))

        found: dict[str, Callable[[], object]] = {
            "clip_image": lambda: model.tower.image(state.clip.pixel_values),
            "projector": projector,
            SAM2: sam2,
        }
        if not state.is_image:
            side = model.video_tower.sizes.image_size
            squares = torch.stack(
                [internvideo_pixel_values(open_image(frames[i]), side) for i in self._shown]
            )
            found["video_tower"] = lambda: model.pooled_video(model.video_states(squares))
        if selection is not None:
            found["selection"] = lambda: self.asked.choose(state)
        return found

    @property
    def _width(self) -> int:
        return int(self.language.hidden_size)


def video_macs(model: VideoGlammNetwork) -> int:
    """Multiply-adds of the video tower and its projector over one chunk of frames."""
    sizes = model.video_tower.sizes
    n, width, blocks = sizes.frames * sizes.grid**2, sizes.hidden_size, sizes.num_hidden_layers - 1
    patches = 3 * sizes.patch_size**2 * width * n
    layers = (part for part in model.video_projector.modules() if isinstance(part, nn.Linear))
    projected = n * sum(layer.weight.numel() for layer in layers)
    return patches + projected + transformer_macs(n + 1, blocks, width, sizes.intermediate_size)
