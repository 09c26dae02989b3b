"""What a method may read about one image of a call, CLIP's towers included."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.states import ClipImage
from litelvlm.clip.tower import Tower
from litelvlm.models.vlm.items import VisualItem
from litelvlm.pruning import CUES, Cues
from litelvlm.pruning.ranking import row_dots, unit_rows

Sources = Mapping[str, Callable[[], Tensor]]


def item_cues(item: VisualItem, key: int, further: Sources) -> Cues:
    """Offer the cues of one image or video, computed when a method reads them.

    ``patch_tokens`` are the projected tokens too: the door stands behind the projector, and most
    towers have several patches to a token. What the model cannot give is refused by name.

    Args:
        item: The image.
        key: Its number in its row; random methods draw the same tokens for equal keys.
        further: Other cues that this call can give.
    """
    patches = item.features[item.patches]
    sources: dict[str, Tensor | Callable[[], Tensor]] = {
        name: missing(name, item.name) for name in CUES
    }
    sources |= {"projected": patches, "patch_tokens": patches, **further}
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


def one_frame(cues: Cues, frame: int) -> Cues:
    """The cues of a single frame of a video."""
    per_frame = cues.layout.per_frame
    part = slice(frame * per_frame, (frame + 1) * per_frame)

    def source(name: str) -> Callable[[], Tensor]:
        return lambda: cues.get(name)[part] if CUES[name].axes[0] == "N" else cues.get(name)

    return Cues({name: source(name) for name in CUES}, replace(cues.layout, frames=1), cues.key)


@dataclass(frozen=True, eq=False)
class TextBehind:
    """Embeddings of the text tokens behind an image, for the similarity in the input space.

    Attributes:
        embeddings: One row per token [m, d].
    """

    embeddings: Float[Tensor, "m d"]

    def similarity(self, patches: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """Cosine of each token with the mean embedding.

        Raises:
            ValueError: If there is no text behind the image.
        """
        if not len(self.embeddings):
            raise ValueError(
                "no text follows the image, so input_similarity has nothing to compare "
                "with; put the question after the image, or take another method"
            )
        mean = self.embeddings.float().mean(dim=0)
        return row_dots(unit_rows(patches), unit_rows(mean[None]))


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
    def given(cls, tower: Tower | None, text: str | Sequence[str] | None) -> "ClipText | None":
        """From the arguments of ``prune``.

        Raises:
            ValueError: If one is given without the other, or the text is empty.
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
        return cls(tower, sentences)

    def cues(self, item: VisualItem, pixel_values: object) -> Sources:
        """Sources of one image, computed when read.

        Args:
            item: The image.
            pixel_values: Images of the call [images, 3, h, w].

        Raises:
            ValueError: If the image is no square that CLIP reads, or its tokens are not CLIP's
                patches.
        """
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
        seen: list[ClipImage] = []

        def image() -> ClipImage:
            if not seen:
                seen.append(self.tower.image(pixels))
            return seen[0]

        return {
            "patch_tokens": lambda: image().patch_tokens[0],
            "cls_token": lambda: image().cls_token[0],
            "patch_embeds": lambda: image().patch_embeds[0],
            "text_embeds": lambda: self.tower.text(list(self.sentences)).text_embeds,
            "query": lambda: image().query[0],
            "keys": lambda: image().keys[0],
            "values": lambda: image().values[0],
            "cls_key": lambda: image().cls_key[0],
            "cls_attention": lambda: image().cls_attention[0],
            "keys_mean": lambda: image().keys_mean[0],
            "key_norm": lambda: image().key_norm[0],
            "late_states": lambda: image().late_states[0],
            "colours": lambda: image().colours[0],
        }
