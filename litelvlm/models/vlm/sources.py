"""The cues that one call can give: of its text, its image tower and its language model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.models.vlm.cues import ClipText, Sources, TextBehind
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.items import VisualItem
from litelvlm.models.vlm.layers.find import plain_decoder
from litelvlm.models.vlm.layers.prompt_attention import prompt_attention
from litelvlm.models.vlm.network import Encoded
from litelvlm.models.vlm.shorten import PER_TOKEN, without_single_axis


@dataclass(eq=False)
class CallSources:
    """Sources of cues, each run when a method reads it.

    Attributes:
        model: The model.
        family: Its family.
        given: Arguments of the call.
        encoded: What the encoder made, by modality.
        items: Images and videos of the call.
        positions: Of the full prompt [axes, b, s].
        scores: Similarity in another model, for the only image of the call.
        clip: CLIP's towers and the text to rank by, where the image tower is CLIP's.
    """

    model: PreTrainedModel
    family: VlmFamily
    given: Mapping[str, object]
    encoded: Mapping[str, Encoded]
    items: Sequence[VisualItem]
    positions: Int[Tensor, "axes b s"]
    scores: Float[Tensor, "n"] | None
    clip: ClipText | None
    _attention: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.scores is not None and len(self.items) != 1:
            raise ValueError(
                f"scores= belong to one image, and the call has {len(self.items)}; "
                "prune one at a time"
            )

    def of(self, item: VisualItem) -> Sources:
        """Sources of one image."""
        found: dict[str, Callable[[], Tensor]] = {
            "input_similarity": lambda: self.text_behind(item).similarity(
                item.features[item.patches]
            ),
            "llm_prompt_attention": lambda: self.attention(item)[item.patches],
            "rotary_cosine": lambda: self.rotary(item)[0],
            "rotary_sine": lambda: self.rotary(item)[1],
        }
        scores = self.scores
        if scores is not None:
            found["external_similarity"] = lambda: scores
        signals = self.encoded[item.modality].signals
        if signals is not None:
            same = [other for other in self.items if other.modality == item.modality]
            found |= signals.cues([len(other.features) for other in same], item.index)
        if self.clip is not None:
            found |= self.clip.cues(item, self.given.get("pixel_values"))
        return found

    def tensor(self, name: str) -> Tensor:
        """An argument of the call.

        Raises:
            ValueError: If it is no tensor.
        """
        value = self.given[name]
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor [batch, length]")
        return value

    def text_behind(self, item: VisualItem) -> TextBehind:
        """Embeddings of the text tokens behind an image, up to the end of its row."""
        ids, mask = self.tensor("input_ids"), self.tensor("attention_mask")
        behind = slice(int(item.columns[-1]) + 1, None)
        row, real = ids[item.row, behind], mask[item.row, behind].bool()
        config = self.model.config
        visual = [getattr(config, name, None) for name in ("image_token_id", "video_token_id")]
        tokens = torch.tensor([int(t) for t in visual if t is not None], device=ids.device)
        words = row[real & ~torch.isin(row, tokens)]
        return TextBehind(self.model.get_input_embeddings()(words).detach())

    def rotary(self, item: VisualItem) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """Mean cosine and sine of the rotary angles at each patch of an image.

        Raises:
            ValueError: If the decoder turns its layers differently.
        """
        decoder = plain_decoder(self.model, "ivc_add_on", self.family.model_type)
        positions = without_single_axis(self.positions + self.family.first_position)
        cos, sin = decoder.rotary_emb(item.features[None, :0].float(), position_ids=positions)
        columns = item.columns[item.patches]
        return cos[item.row, columns].mean(dim=-1), sin[item.row, columns].mean(dim=-1)

    def attention(self, item: VisualItem) -> Float[Tensor, "n layers"]:
        """Attention of the prompt's last token to an image, from one unpruned pass per call.

        Raises:
            ValueError: If the decoder's attention cannot be read.
        """
        if not self._attention:
            decoder = plain_decoder(self.model, "llm_attention", self.family.model_type)
            images = [(other.row, other.columns) for other in self.items]
            mask = self.tensor("attention_mask")
            self._attention = prompt_attention(decoder, self.run, mask, images)
        place = next(i for i, other in enumerate(self.items) if other is item)
        return self._attention[place]

    def run(self) -> object:
        """One unpruned pass with the images as they are encoded."""
        positions = without_single_axis(self.positions + self.family.first_position)
        names = ("input_ids", "attention_mask", *PER_TOKEN)
        arguments = {name: self.given[name] for name in names if name in self.given}
        outputs = {modality: made.output for modality, made in self.encoded.items()}
        # The class's own method: an instance's may be the pruned one.
        return type(self.model).forward(
            self.model, **arguments, position_ids=positions, mm_encoder_outputs=outputs
        )
