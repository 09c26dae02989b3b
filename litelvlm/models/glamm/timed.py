"""One call of a GLaMM, part by part, as a bench times it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image

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

Segment = Callable[[], Grounding]


@dataclass(frozen=True)
class TimedPrompt:
    """A spliced sequence of random visual states, as the language model gets it from one method.

    Attributes:
        conversation: Its questions and answers.
        plan: What drops tokens inside the language model; None if nothing does.
        spliced: Its embeddings with the visual states in place.
    """

    conversation: Conversation
    plan: Selection | None
    spliced: Spliced

    @classmethod
    def of(
        cls,
        model: GlammNetwork,
        picture: Image.Image,
        conversation: Conversation,
        pruner: Pruner | None,
        budget: int,
    ) -> "TimedPrompt":
        """The prompt with as many tokens as enter the language model.

        Args:
            model: The GLaMM.
            picture: The image; it is encoded only for methods inside the language model.
            conversation: The questions and answers.
            pruner: Method; None for none.
            budget: Visual tokens.
        """
        plan, n_tokens = None, budget
        if isinstance(pruner, LayerPruner):
            plan = pruner.select(
                image_cues(model, model.encode_image(picture), conversation), budget
            )
            n_tokens = len(plan)
        generator = torch.Generator(model.device).manual_seed(0)
        shape = (n_tokens, int(model.llama.config.hidden_size))
        visual = torch.randn(shape, generator=generator, device=model.device, dtype=model.dtype)
        return cls(conversation, plan, model.splice([visual], [conversation], [plan]))

    def dropping(self, model: GlammNetwork) -> LayerDropping | None:
        """What drops tokens between layers, anew for each pass."""
        if self.plan is None:
            return None
        spliced = self.spliced
        return LayerDropping(
            model.llama,
            model.tokenizer,
            [self.conversation],
            [self.plan],
            spliced.image_start,
            spliced.lengths,
        )


@dataclass(frozen=True, eq=False)
class GlammCall(TimedCall):
    """One call.

    Attributes:
        model: The GLaMM.
        picture: The image.
        prompt: The prompt of random visual states.
        pruner: Method; None for the unpruned model.
        budget: Visual tokens.
        segment: The whole call.
    """

    model: GlammNetwork
    picture: Image.Image
    prompt: TimedPrompt
    pruner: Pruner | None
    budget: int
    segment: Segment

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
        return len(self.model.tokenizer.encode(full_prompt(self.prompt.conversation))) - 1

    @property
    def cache_width(self) -> int:
        """Every head of LLaMA-7B has keys of its own."""
        return int(self.model.llama.config.hidden_size)

    def prefill(self) -> None:
        """The language model alone on one prompt, in the kernel that a user gets."""
        decode(
            self.model.llama,
            self.prompt.spliced.embeds,
            self.prompt.spliced.position_ids,
            before_layer=self.prompt.dropping(self.model),
        )

    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer greedily."""
        greedy(
            self.model.llama,
            self.prompt.spliced.embeds,
            self.prompt.spliced.position_ids,
            stop,
            n_tokens + 2,  # ``stop`` is not called for the last token
            self.prompt.dropping(self.model),
        )

    def whole(self) -> Mapping[str, float]:
        """From the picture to the masks, and its stages by the model's own watch."""
        return self.segment().timings

    def macs(self) -> Mapping[str, int]:
        """Of every component."""
        questions = list(self.prompt.conversation.questions)
        length = int(self.model.tower.tokenize(questions)[0].shape[1])
        return model_macs(self.model, self.layer_counts, self.n_other, len(questions), length)

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Towers, projector, mask decoder and choice."""
        model, pruner, conversation = self.model, self.pruner, self.prompt.conversation
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
        entering = self.budget if self.prompt.plan is None else len(self.prompt.plan)
        found: dict[str, Callable[[], object]] = {
            "clip_image": lambda: model.tower.image(crop),
            "clip_text": lambda: model.tower.text(list(conversation.questions)),
            "projector": lambda: model.project(state.clip.patch_tokens[0][:entering]),
            "sam_encoder": lambda: encode_image(model.sam, square),
            "mask_decoder": lambda: masker.low_resolution(model.seg_head(seg)),
        }
        if pruner is not None:
            found["selection"] = lambda: pruner.select(cues, self.budget)
        return found
