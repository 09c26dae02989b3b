"""Cues of CLIP's two towers, for models whose image tower is CLIP's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from litelvlm.clip.states import ClipImage
from litelvlm.clip.tower import Tower
from litelvlm.models.vlm.cues import Sources
from litelvlm.models.vlm.items import VisualItem


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
