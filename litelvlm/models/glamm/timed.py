"""One call of a GLaMM, part by part, as a bench times it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from transformers import LlamaConfig

from litelvlm.models.base import Conversation, Grounding
from litelvlm.models.glamm.costs import model_macs
from litelvlm.models.glamm.cues import image_cues
from litelvlm.models.glamm.language.decoding import greedy
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.language.llama import decode
from litelvlm.models.glamm.masks.masker import encode_image, sam_dtype
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import Spliced
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.timed import TimedCall
from litelvlm.pruning import LayerPruner, Pruner, Selection


@dataclass(frozen=True, eq=False)
class GlammCall(TimedCall):
    """One call; the language model alone gets random visual states.

    Attributes:
        model: The GLaMM.
        picture: The image.
        conversation: Its questions and answers.
        pruner: Method; None for the unpruned model.
        budget: Visual tokens.
        segment: The whole call.
    """

    model: GlammNetwork
    picture: Image.Image
    conversation: Conversation
    pruner: Pruner | None
    budget: int
    segment: Callable[[], Grounding]

    @cached_property
    def plan(self) -> Selection | None:
        """What drops tokens inside the language model; None if nothing does."""
        if not isinstance(self.pruner, LayerPruner):
            return None
        state = self.model.encode_image(self.picture)
        return self.pruner.select(image_cues(self.model, state, self.conversation), self.budget)

    @property
    def entering(self) -> int:
        """Visual tokens that enter the language model."""
        return self.budget if self.plan is None else len(self.plan)

    @cached_property
    def spliced(self) -> Spliced:
        """The prompt with as many random visual states as enter the language model."""
        model = self.model
        generator = torch.Generator(model.device).manual_seed(0)
        shape = (self.entering, int(model.llama.config.hidden_size))
        visual = torch.randn(shape, generator=generator, device=model.device, dtype=model.dtype)
        return model.splice([visual], [self.conversation], [self.plan])

    def dropping(self) -> LayerDropping | None:
        """What drops tokens between layers, anew for each pass."""
        if self.plan is None:
            return None
        spliced, model = self.spliced, self.model
        one, plan = [self.conversation], [self.plan]
        return LayerDropping(
            model.llama, model.tokenizer, one, plan, spliced.image_start, spliced.lengths
        )

    @property
    def layer_counts(self) -> tuple[int, ...]:
        """Visual tokens of each layer."""
        n_layers = len(self.model.llama.model.layers)
        if isinstance(self.pruner, LayerPruner):
            return self.pruner.schedule(self.budget, self.model.n_tokens, n_layers)
        return (self.budget,) * n_layers

    @property
    def n_other(self) -> int:
        """Tokens of the text."""
        return len(self.model.tokenizer.encode(full_prompt(self.conversation))) - 1

    @property
    def language(self) -> LlamaConfig:
        """Sizes of LLaMA."""
        return self.model.llama.config

    def prefill(self) -> None:
        """The language model alone on one prompt, in the kernel that a user gets."""
        decode(
            self.model.llama,
            self.spliced.embeds,
            self.spliced.position_ids,
            before_layer=self.dropping(),
        )

    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer greedily."""
        greedy(
            self.model.llama,
            self.spliced.embeds,
            self.spliced.position_ids,
            stop,
            n_tokens + 2,  # ``stop`` is not called for the last token
            self.dropping(),
        )

    def whole(self) -> Mapping[str, float]:
        """From the picture to the masks, and its stages by the model's own watch."""
        return self.segment().timings

    def macs(self) -> Mapping[str, int]:
        """Of every component."""
        questions = list(self.conversation.questions)
        length = int(self.model.tower.tokenize(questions)[0].shape[1])
        return model_macs(self.model, self.layer_counts, self.n_other, len(questions), length)

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Towers, projector, mask decoder and choice."""
        model, pruner, conversation = self.model, self.pruner, self.conversation
        crop = model.tower.pixel_values(self.picture)
        square, _ = sam_pixel_values(self.picture, model.sam_image_size)
        kind = sam_dtype(model.sam)
        square = square.to(model.device, kind)
        state = model.encode_image(self.picture)
        cues = image_cues(model, state, conversation)
        cues.get("text_embeds")  # counted by itself
        width = int(model.llama.config.hidden_size)
        turns = len(conversation.questions)
        seg = torch.zeros(turns, width, device=model.device, dtype=model.dtype)
        masker = model.masker.begin(state)
        found: dict[str, Callable[[], object]] = {
            "clip_image": lambda: model.tower.image(crop),
            "clip_text": lambda: model.tower.text(list(conversation.questions)),
            "projector": lambda: model.project(state.clip.patch_tokens[0][: self.entering]),
            "sam_encoder": lambda: encode_image(model.sam, square),
            "mask_decoder": lambda: masker.low_resolution(model.seg_head(seg)),
        }
        if pruner is not None:
            found["selection"] = lambda: pruner.select(cues, self.budget)
        return found
