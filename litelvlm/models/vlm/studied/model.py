"""A vision-language model of transformers as a study asks it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.clip.tower import Tower
from litelvlm.data.images import ImageSource, open_image
from litelvlm.models.base import ImageView, TowerModel, VisualLM
from litelvlm.models.timed import TimedModel
from litelvlm.models.vlm.clip_cues import ClipText
from litelvlm.models.vlm.door import prune
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.studied.answers import Speaker
from litelvlm.models.vlm.studied.encoded import EncodedPicture
from litelvlm.models.vlm.studied.pictures import PictureReader
from litelvlm.models.vlm.studied.prompts import question
from litelvlm.models.vlm.studied.query import VlmQuery
from litelvlm.models.vlm.studied.timed import VlmCall
from litelvlm.pruning import Pruner
from litelvlm.pruning.budgets import ModelSizes
from litelvlm.pruning.layers.depths import middle_layers


@dataclass(frozen=True, eq=False)
class Vlm(VisualLM, TimedModel):
    """A model without a text tower that could rank its visual tokens, such as Qwen2.5-VL.

    Attributes:
        name: Name or folder that it was loaded from.
        digest: sha256 over its files, or over its weights where it came as an object.
        network: The model.
        family: Its family.
        reader: How it reads a picture.
        speaker: Makes prompts, and takes answers.
    """

    name: str
    digest: str
    network: PreTrainedModel
    family: VlmFamily
    reader: PictureReader
    speaker: Speaker

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

    def view(self, height: int, width: int) -> ImageView:
        """Where the visual tokens of an image of this size lie; runs no model."""
        return self.reader.view(height, width)

    def encode(self, image: ImageSource) -> EncodedPicture:
        """Run the image encoder once.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read.
        """
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
        picture, clip = self.encode(image), self._clip()
        return VlmQuery(self.speaker, picture, expression, question_index, batch_size, clip)

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
        """U2, and U5 as the mean over the middle layers, for several questions."""
        picture = self.encode(image)
        found: dict[str, list[Tensor]] = {"input_similarity": [], "llm_attention": []}
        for sentence in questions:
            sources = picture.sources(self.speaker.prompt(picture, sentence))
            (item,) = sources.items
            read = sources.of(item)
            found["input_similarity"].append(read["input_similarity"]())
            layers = read["llm_prompt_attention"]()
            found["llm_attention"].append(layers[:, middle_layers(layers.shape[1])].mean(1))
        return {name: torch.stack(scores).float().cpu() for name, scores in found.items()}

    @torch.no_grad()
    def image_scores(self, image: ImageSource) -> Mapping[str, Float[Tensor, "n"]]:
        """U3 and U4, and the norm of the projected tokens."""
        picture = self.encode(image)
        sources = picture.sources(self.speaker.prompt(picture, "?"))
        (item,) = sources.items
        read = sources.of(item)
        found: Mapping[str, Callable[[], Tensor]] = {
            "received_attention": read["received_attention"],
            "tower_value_norm": read["tower_value_norm"],
            "state_norm": lambda: picture.features.float().norm(dim=1),
        }
        return {name: score().float().cpu() for name, score in found.items()}

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
        self, image: ImageSource, expressions: Sequence[str], pruner: Pruner | None, budget: int
    ) -> VlmCall:
        """Prepare one question about one expression."""
        if len(expressions) != 1:
            raise ValueError(
                f"a model that answers in words takes one expression at a time, got "
                f"{len(expressions)}; leave n_texts at 1"
            )
        sentence, settings = question(expressions[0]), None
        if pruner is not None:
            clip = self._clip()
            tower, text = (None, None) if clip is None else (clip.tower, sentence)
            settings = prune(self.network, pruner, budget, clip=tower, text=text).settings
        return VlmCall.of(self.encode, self.speaker, open_image(image), sentence, settings)

    def _clip(self) -> ClipText | None:
        return None


@dataclass(frozen=True, eq=False)
class ClipVlm(Vlm, TowerModel):
    """A model whose image tower is CLIP's own, with the text tower of the same checkpoint: LLaVA.

    Attributes:
        tower: Both towers; the image tower has the weights of the model's own.
    """

    tower: Tower

    def _clip(self) -> ClipText | None:
        return ClipText(self.tower, ())
