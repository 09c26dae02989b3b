"""What one image teaches: a drawn conversation about it and the masks of its turns."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from litelvlm.data.dataset import Dataset, Expression, Sample, clean
from litelvlm.data.refs import NO_TARGET
from litelvlm.metrics.pixels import IGNORE, object_pixels
from litelvlm.models.base import Conversation, GroundingModel

logger = logging.getLogger(__name__)
_NO_OUTLINE = ("null", "[]", "")


@dataclass(frozen=True)
class Example:
    """One image with its conversation.

    Attributes:
        image: RGB.
        conversation: Of a turn for each expression.
        target: 1 inside, 0 outside.
        valid: 1 where pixels count, 0 where the data ignore them.
    """

    image: Image.Image
    conversation: Conversation
    target: Float[Tensor, "t h w"]
    valid: Float[Tensor, "t h w"]


@dataclass(frozen=True)
class Examples:
    """Images to learn from.

    Attributes:
        data: A split.
        usable: Each image that can be learned from, and the places of its expressions.
        most: Expressions of an image at most.
    """

    data: Dataset
    usable: tuple[tuple[int, tuple[int, ...]], ...]
    most: int

    @classmethod
    def of(cls, data: Dataset, most: int) -> "Examples":
        """Find what can be learned from; no picture is opened, but each mask is drawn once.

        Left out are expressions that cannot be asked, and those of objects without an outline or
        without a pixel.

        Raises:
            ValueError: If there are clips, or no mask at all.
        """
        usable, outlined, left_out = list[tuple[int, tuple[int, ...]]](), False, 0
        for index in range(len(data)):
            sample = data[index]
            if sample.frames != 1:
                raise ValueError(
                    f"{data.name} {data.split} holds clips, and a GLaMM is fine-tuned on images; "
                    "give data of images, or --stills N"
                )
            places = []
            for place, expression in enumerate(sample.expressions):
                meant = [one for one in expression.ann_ids if one != NO_TARGET]
                if _asked(expression) and (not meant or _outlined(sample, expression)):
                    places.append(place)
                    outlined |= bool(meant)
            left_out += len(sample.expressions) - len(places)
            if places:
                usable.append((index, tuple(places)))
        if not outlined:
            raise ValueError(
                f"{data.name} {data.split} has no masks to learn from; give data whose objects "
                "have outlines"
            )
        if left_out:
            logger.warning(
                "%d expressions are left out: they cannot be asked, or an object has no pixels",
                left_out,
            )
        return cls(data, tuple(usable), most)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, number: int, model: GroundingModel, rng: np.random.Generator) -> Example:
        """One image with drawn expressions and templates.

        Args:
            number: Of the usable image.
            model: Whose templates are drawn.
            rng: Draws.
        """
        index, places = self.usable[number]
        sample = self.data[index]
        chosen = [sample.expressions[place] for place in rng.permutation(places)[: self.most]]
        questions, answers = (
            rng.integers(count, size=len(chosen)).tolist()
            for count in (model.n_questions, model.n_answers)
        )
        masks = np.stack([sample.mask(one) for one in chosen])
        asked = model.conversation([one.sent for one in chosen], questions, answers)
        valid = torch.from_numpy(masks != IGNORE)
        inside = torch.from_numpy(object_pixels(masks))
        return Example(sample.image(), asked, inside.float(), valid.float())


def _asked(expression: Expression) -> bool:
    try:
        clean(expression.sent)
    except ValueError:
        return False
    return True


def _outlined(sample: Sample, expression: Expression) -> bool:
    """Whether every object that is meant has an outline, and all of them together a pixel."""
    if sample.frame_of_clip is None:  # the objects of clips are known by their masks alone
        meant = (one for one in expression.ann_ids if one != NO_TARGET)
        if any(sample.annotations[one].outline in _NO_OUTLINE for one in meant):
            return False
    return bool(object_pixels(sample.mask(expression)).any())
