"""What a method may read about one image of a call, CLIP's towers included."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.clip.probes.last_blocks import readout_cues
from litelvlm.clip.tower import Tower
from litelvlm.models.view import image_tower_cues
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.items import VisualItem
from litelvlm.models.vlm.layers.find import plain_decoder
from litelvlm.models.vlm.network import Encoded
from litelvlm.models.vlm.queries.towers import check_once
from litelvlm.models.vlm.shorten import PER_TOKEN, without_single_axis
from litelvlm.models.vlm_base.layer_view import prompt_attention
from litelvlm.models.vlm_base.text import TextBehind
from litelvlm.pruning import CUES, Cues

Sources = Mapping[str, Callable[[], Tensor]]


def item_cues(item: VisualItem, key: int, further: Sources) -> Cues:
    """Offer the cues of one image or video, computed when a method reads them.

    ``patch_tokens`` are the tokens that the encoder gives, which are mostly projected: most towers
    have several patches to a token. What the model cannot give is refused by name.

    Args:
        item: The image.
        key: Its number in its row; random methods draw the same tokens for equal keys.
        further: Other cues that this call can give.
    """
    sources: dict[str, Tensor | Callable[[], Tensor]] = {
        name: missing(name, item.name) for name in CUES
    }
    sources |= {"patch_tokens": item.features[item.patches], **further}
    return Cues(sources, item.layout, key)


def missing(cue: str, item: str) -> Callable[[], Tensor]:
    """A source that refuses a cue which a model without a text tower of its own cannot give."""

    def refuse() -> Tensor:
        raise ValueError(
            f"the method reads the cue {cue!r} ({CUES[cue].meaning}), which this model cannot "
            f"give for {item}; methods that read nothing but the projected tokens work, for "
            "example 'divprune', and so do the substitutes 'input_similarity', "
            "'received_attention', 'tower_value_norm', 'llm_attention' with query_token="
            "'last_prompt' and, in Python alone, 'external_similarity' with scores=; "
            "where the image tower is CLIP's, name the CLIP checkpoint that it comes from (clip= "
            "and text= of `prune`; --clip on the command line, for LLaVA-1.5)"
        )

    return refuse


@dataclass(frozen=True, eq=False)
class ClipText:
    """CLIP's towers and what its text tower is asked.

    Attributes:
        tower: Both towers of the checkpoint that the model's image tower comes from.
        sentences: Texts that rank the tokens of every image.
    """

    tower: Tower
    sentences: tuple[str, ...]

    @classmethod
    def given(
        cls, model: PreTrainedModel, tower: Tower | None, text: str | Sequence[str] | None
    ) -> "ClipText | None":
        """From the arguments of ``prune``.

        Raises:
            ValueError: If one is given without the other, the text is empty, or the model's image
                tower is another one.
        """
        sentences = (text,) if isinstance(text, str) else tuple(text or ())
        if tower is None and not sentences:
            return None
        if tower is None or not all(sentences) or not sentences:
            raise ValueError(
                "clip= and text= belong together: the towers of the CLIP checkpoint that the "
                "model's image tower comes from, and the text that ranks the tokens, for example "
                "clip=load_tower('openai/clip-vit-large-patch14-336'), text='the yellow giraffe'"
            )
        check_once(model, tower)
        return cls(tower, sentences)

    def cues(self, item: VisualItem, given: Mapping[str, object]) -> Sources:
        """Sources of one image, computed when read.

        Args:
            item: The image.
            given: Arguments of the call; the images [images, 3, h, w] are ``pixel_values``.

        Raises:
            ValueError: If the image is no square that CLIP reads, its tokens are not CLIP's
                patches, or the call reads another layer of the tower.
        """
        for name in ("vision_feature_layer", "vision_feature_select_strategy"):
            if given.get(name) is not None:
                raise ValueError(
                    f"{name} makes the model read another layer of its image tower than CLIP's "
                    f"rankings do; leave {name} out, or leave out clip="
                )
        pixel_values = given.get("pixel_values")
        side, count = self.tower.image_size, self.tower.grid[0] * self.tower.grid[1]
        if (
            not isinstance(pixel_values, Tensor)
            or pixel_values.shape[1:] != (3, side, side)
            or len(item.patches) != count
        ):
            raise ValueError(
                f"CLIP's towers read images of {side} pixels as {count} patches, and {item.name} "
                f"is {len(item.patches)} visual tokens; give the CLIP checkpoint that the model's "
                "image tower comes from (clip= in Python, --clip on the command line), or leave it "
                "out and take a substitute"
            )
        pixels = pixel_values[item.index, None].to(self.tower.device, self.tower.dtype)
        image = cache(lambda: self.tower.image(pixels))
        return {
            **image_tower_cues(image),
            "patch_embeds": lambda: image().patch_embeds[0],
            **readout_cues(image),
            "text_embeds": lambda: self.tower.text(list(self.sentences)).text_embeds,
        }


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
            "projected": lambda: self.projected(item),
            "input_similarity": lambda: self.text_behind(item).similarity(self.projected(item)),
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
            found |= self.clip.cues(item, self.given)
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

    def projected(self, item: VisualItem) -> Float[Tensor, "n d"]:
        """Patches of an image in the language model's input space."""
        patches, name = item.features[item.patches], self.family.projector
        found: Tensor = self.model.get_submodule(name)(patches) if name else patches
        return found

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
