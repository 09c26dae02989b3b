"""A vision-language model of transformers: it answers in words, and studies ask it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils.generic import ModelOutput

from litelvlm.clip.tower import Tower
from litelvlm.data.images import ImageSource, open_image
from litelvlm.models.base import IdentifiedModel, ImageView, TowerModel, VisualLM
from litelvlm.models.segmenting import only_frame
from litelvlm.models.timed import TimedModel
from litelvlm.models.vlm.cues import ClipText
from litelvlm.models.vlm.door import prune
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.prompts import Prompter, question
from litelvlm.models.vlm.queries.encoded import EncodedPicture, own_generate
from litelvlm.models.vlm.queries.pictures import PictureReader
from litelvlm.models.vlm.queries.query import VlmQuery
from litelvlm.models.vlm.queries.timed import VlmCall
from litelvlm.pruning import Pruner
from litelvlm.pruning.budgets import ModelSizes
from litelvlm.pruning.layers.drops import middle_layers

_MEAN = (122, 116, 104)  # CLIP's mean colour, with which LLaVA's authors pad
_CLIP_CUES = frozenset({"text_embeds", "patch_embeds", "keys_mean", "late_states", "colours"})


@runtime_checkable
class Processor(Protocol):
    """What a model's processor does."""

    tokenizer: PreTrainedTokenizerBase
    image_processor: BaseImageProcessor

    def __call__(
        self, *, text: str, images: Image.Image, return_tensors: str
    ) -> Mapping[str, Tensor]:
        """Inputs of the model."""


@dataclass(frozen=True)
class VlmAnswer:
    """One answer.

    Attributes:
        text: What the model said, without blanks at the ends.
        visual_tokens: Visual tokens that a layer of the language model read, on average.
    """

    text: str
    visual_tokens: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Vlm(IdentifiedModel):
    """A model of any family of ``litelvlm.prune``, with its processor.

    Attributes:
        name: "vlm:" and the name or folder that it was loaded from.
        digest: sha256 over its files, or over its weights where it came as an object.
        network: The model.
        family: Its family.
        processor: Makes its inputs.
        prompter: Makes its prompts.
        pad: Pad pictures to a square with the mean colour, as LLaVA's authors do, before the
            processor crops them.
    """

    name: str
    digest: str
    network: PreTrainedModel
    family: VlmFamily
    processor: Processor
    prompter: Prompter
    pad: bool = False
    described = "a vision-language model that answers questions in words"

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        found: torch.device = self.network.device
        return found

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        found: torch.dtype = self.network.dtype
        return found

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernels of CLIP's towers, where they are known, and of the model."""
        kernel = str(self.network.config._attn_implementation)
        return {**super().attention_kernels, "network": kernel}

    @property
    def fixed_tokens(self) -> int | None:
        """Visual tokens of every image; None where their number varies."""
        found: int | None = getattr(self.network.config, "image_seq_length", None)
        return found

    def check(self, pruner: Pruner, budget: int | float) -> None:
        """Refuse a method that cannot work with this model, whatever the picture.

        Raises:
            ValueError: If it cannot.
        """
        prune(self.network, pruner, budget)

    def inputs(self, image: Image.Image, prompt: str) -> dict[str, Tensor]:
        """What the model reads of one question about an RGB picture."""
        shown = padded(image) if self.pad else image
        made = self.processor(text=self.prompter.text(prompt), images=shown, return_tensors="pt")
        return {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in made.items()
        }

    @torch.inference_mode()
    def answer(
        self,
        image: Image.Image,
        prompt: str,
        pruner: Pruner | None = None,
        budget: int | float | None = None,
        text: str | None = None,
        max_new_tokens: int = 16,
    ) -> VlmAnswer:
        """Answer a question about an image; decoding is greedy.

        Args:
            image: An RGB picture.
            prompt: The question with what belongs to it, without the model's own template.
            pruner: A method; None keeps all tokens.
            budget: Visual tokens to keep, or their share.
            text: What a method that reads CLIP's text ranks by; the prompt if left out.
            max_new_tokens: Length of the answer.

        Raises:
            ValueError: If a method cannot work with this model, or one of pruner and budget is
                missing.
        """
        if (pruner is None) != (budget is None):
            raise ValueError("pruner and budget belong together; give both or neither")
        inputs = self.inputs(image, prompt)
        options: dict[str, object] = {"max_new_tokens": max_new_tokens}
        if pruner is None or budget is None:
            with greedy_decoding(self.network):
                ids: Tensor | ModelOutput = own_generate(self.network)(**inputs, **options)
            count = float((inputs["input_ids"] == self.prompter.image_token_id).sum())
        else:
            towers = self.clip_tower if pruner.needs & _CLIP_CUES else None
            asked = (text or prompt) if towers is not None else None
            door = prune(self.network, pruner, budget, clip=towers, text=asked)
            with door as pruned, greedy_decoding(self.network):
                ids = pruned.generate(inputs=None, **inputs, **options)
            layers = [sum(layer) for layer in zip(*pruned.layer_counts, strict=True)]
            count = sum(layers) / len(layers)
        assert isinstance(ids, Tensor)  # noqa: S101 - for the type checker
        said = ids[0, inputs["input_ids"].shape[1] :]
        words = self.prompter.tokenizer.decode(said, skip_special_tokens=True)
        return VlmAnswer(str(words).strip(), count)


@dataclass(frozen=True, eq=False, kw_only=True)
class QueriedVlm(Vlm, VisualLM, TimedModel):
    """A model that studies can ask: it is known where its visual tokens lie, as in Qwen2.5-VL.

    Attributes:
        reader: How it reads a picture.
    """

    reader: PictureReader
    described = VisualLM.described

    def view(self, height: int, width: int) -> ImageView:
        """Where the visual tokens of an image of this size lie; runs no model."""
        return self.reader.view(height, width)

    def encode(self, image: ImageSource) -> EncodedPicture:
        """Run the image encoder once.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read, or the model pads pictures for its answers.
        """
        if self.pad:
            raise ValueError("pictures are padded for answers alone; load the model without pad=")
        picture = open_image(image)
        view = self.view(picture.height, picture.width)
        return EncodedPicture.of(self.network, self.family, view, self.reader.tensors(picture))

    def query(
        self,
        image: ImageSource,
        expression: str,
        question_index: int = 0,
        batch_size: int | None = None,
    ) -> VlmQuery:
        """Ask about an expression in one of ``prompts.QUESTIONS``, unpruned."""
        question(expression, question_index)
        picture, tower = self.encode(image), self.clip_tower
        clip = None if tower is None else ClipText(tower, ())
        return VlmQuery(self.prompter, picture, expression, question_index, batch_size, clip)

    def projected_image(self, image: ImageSource) -> Float[Tensor, "n d"]:
        """Visual tokens in the language model's input space."""
        return self.encode(image).features

    def question(self, expression: str, question_index: int = 0) -> str:
        """The sentence that asks about an expression (``prompts.QUESTIONS``)."""
        return question(expression, question_index)

    @torch.no_grad()
    def text_scores(
        self, image: ImageSource, questions: Sequence[str]
    ) -> Mapping[str, Float[Tensor, "t n"]]:
        """Both scores for several questions; attention is the mean over the middle layers."""
        picture = self.encode(image)
        found: dict[str, list[Tensor]] = {"input_similarity": [], "llm_attention": []}
        for sentence in questions:
            read = self._sources(picture, sentence)
            found["input_similarity"].append(read["input_similarity"]())
            layers = read["llm_prompt_attention"]()
            found["llm_attention"].append(layers[:, middle_layers(layers.shape[1])].mean(1))
        return {name: torch.stack(scores).float().cpu() for name, scores in found.items()}

    @torch.no_grad()
    def image_scores(self, image: ImageSource) -> Mapping[str, Float[Tensor, "n"]]:
        """Both scores, and the norm of the projected tokens."""
        picture = self.encode(image)
        read = self._sources(picture, "?")
        found = {name: read[name]() for name in ("received_attention", "tower_value_norm")}
        found["state_norm"] = picture.features.float().norm(dim=1)
        return {name: score.float().cpu() for name, score in found.items()}

    def _sources(
        self, picture: EncodedPicture, sentence: str
    ) -> Mapping[str, Callable[[], Tensor]]:
        """What can be read of one question about a picture."""
        sources = picture.sources(self.prompter.prompt(sentence, picture.view.n_tokens))
        (item,) = sources.items
        return sources.of(item)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(parameter.nbytes for parameter in self.network.parameters())

    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to, for so many visual tokens."""
        config, depth = self.network.config, len(self.network.get_decoder().layers)
        vision = config.vision_config
        blocks = int(getattr(vision, "num_hidden_layers", None) or vision.depth)
        return ModelSizes(n_tokens, blocks, depth)

    def timed_call(
        self,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> VlmCall:
        """Prepare one question about one expression."""
        if len(expressions) != 1:
            raise ValueError(
                f"a model that answers in words takes one expression at a time, got "
                f"{len(expressions)}; leave n_texts at 1"
            )
        sentence, settings = question(expressions[0]), None
        if pruner is not None:
            tower = self.clip_tower
            text = None if tower is None else sentence
            settings = prune(self.network, pruner, budget, clip=tower, text=text).settings
        picture = open_image(only_frame(self.name, image))
        call = VlmCall(self.encode, self.prompter, picture, sentence, settings)
        _ = call.prepared  # what a method cannot choose is refused now
        return call


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipVlm(QueriedVlm, TowerModel):
    """A model whose image tower is CLIP's own, with the text tower of the same checkpoint: LLaVA.

    Attributes:
        tower: Both towers; the image tower has the weights of the model's own.
    """

    tower: Tower


def padded(image: Image.Image) -> Image.Image:
    """The picture in the middle of a square of its longer side, in CLIP's mean colour."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), _MEAN)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
