"""What a method may read about one image of a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from litelvlm.models.vlm.items import VisualItem
from litelvlm.pruning import CUES, Cues
from litelvlm.pruning.features import row_dots, unit_rows

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
            "example 'divprune', and so do the substitutes 'input_similarity' (U2), "
            "'received_attention' (U3), 'tower_value_norm' (U4), 'llm_attention' with query_token="
            "'last_prompt' (U5) and, in Python alone, 'external_similarity' with scores= (U1); "
            "where the image tower is CLIP's, name the CLIP checkpoint that it comes from (clip= "
            "and text= in Python, --clip on the command line)"
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
