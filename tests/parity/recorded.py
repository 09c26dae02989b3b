"""What was recorded about one image of an evaluation run: its turns, its pixels and its targets."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from litelvlm import load_refer
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.dataset import Expression
from litelvlm.data.images import open_image
from litelvlm.data.refer import ReferSample
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.sam2.preprocess import sam_size
from tests.glamm_parts import OPENING, Conversation, full_prompt

logger = logging.getLogger(__name__)


def talk_of(item: Mapping[str, Any]) -> Conversation:
    """The recorded conversation, taken apart into questions and answers.

    Raises:
        ValueError: If it cannot be put together again from these.
    """
    turns = re.findall(r"USER: (.*?) ASSISTANT: (.*?)</s>", item["conversation"], re.DOTALL)
    questions, answers = zip(
        *((asked.removeprefix(OPENING), answered) for asked, answered in turns), strict=True
    )
    talk = Conversation(tuple(item.get("expressions", questions)), questions, answers)
    if full_prompt(talk) != item["conversation"]:
        raise ValueError(f"the prompt built is not the recorded one: {full_prompt(talk)!r}")
    return talk


class Recorded:
    """Inputs of one run: stored tensors, else the REFER tree's pictures and tables.

    Args:
        fixtures: The folder of the tiny GLaMM; a ``refer`` folder may lie beside it.
        run: The run's entry in the index.
        runs: All entries: where they list other pictures, a number does not say which picture a
            stored tensor is of, and where there are several, it does not say which expressions
            stored targets are of.
        sizes: Sides of CLIP's and SAM's squares in pixels.
    """

    def __init__(
        self,
        fixtures: Path,
        run: Mapping[str, Any],
        runs: Sequence[Mapping[str, Any]],
        sizes: tuple[int, int],
    ) -> None:
        self.run, self.sizes, self.alone = run, sizes, len(runs) == 1
        files = [[item["image_file"] for item in other.get("items", [])] for other in runs]
        self.same_pictures = all(listed == files[0] for listed in files if listed)
        own, shared = (
            fixtures / f"inputs_R{run['retain']}.safetensors",
            fixtures / "inputs.safetensors",
        )
        self.own = own.is_file()
        self.stored = load_file(own) if self.own else load_file(shared) if shared.is_file() else {}
        self.tree = fixtures.parent / "refer"

    def tensor(self, i: int, name: str, item: Mapping[str, Any]) -> Tensor | None:
        """A stored tensor that is of this run's i-th picture for certain."""
        prefixes = [
            f"run_R{self.run['retain']}.{i}",
            f"R{self.run['retain']}.{i}",
            *([str(i)] if self.own else []),
        ]
        sure = next(
            (self.stored[f"{p}.{name}"] for p in prefixes if f"{p}.{name}" in self.stored), None
        )
        return self.numbered(i, name, item) if sure is None and self.same_pictures else sure

    def numbered(self, i: int, name: str, item: Mapping[str, Any]) -> Tensor | None:
        """A stored tensor under the image's number.

        None if the target beside it has another size than the picture.
        """
        target, size = self.stored.get(f"{i}.gt_masks"), item.get("original_size")
        foreign = target is not None and size is not None and list(target.shape[-2:]) != list(size)
        return None if foreign else self.stored.get(f"{i}.{name}")

    def picture(self, item: Mapping[str, Any]) -> Image.Image | None:
        """The picture in the REFER tree."""
        found = sorted((self.tree / "Refer_Segm").rglob(item["image_file"]))
        return open_image(found[0], upright=False) if found else None

    def sample(self, item: Mapping[str, Any]) -> ReferSample | None:
        """The image's record in the REFER tree."""
        dataset, split, *author = self.run["dataset"].split("|")
        if not (self.tree / "Refer_Segm" / dataset).is_dir():
            return None
        data = load_refer(
            self.tree, dataset=dataset, split=split, split_by=next(iter(author), None)
        )
        return next((sample for sample in data if sample.file_name == item["image_file"]), None)

    def pixels(self, i: int, item: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """CLIP's and SAM's squares.

        Raises:
            ValueError: If neither they nor the picture are there.
        """
        names = ("clip_pixel_values", "sam_pixel_values")
        clip, sam = (self.tensor(i, name, item) for name in names)
        if clip is not None and sam is not None:
            return clip, sam
        picture = self.picture(item)
        if picture is not None:
            return Preprocessing()(picture, self.sizes[0]), sam_pixel_values(
                picture, self.sizes[1]
            )[0]
        clip, sam = (self.numbered(i, name, item) for name in names)
        if clip is None or sam is None:
            raise ValueError(
                f"image {i} ({item['image_file']}) has neither stored pixels "
                f"nor a picture in {self.tree}"
            )
        return clip, sam

    def geometry(self, i: int, item: Mapping[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
        """(height, width) of the picture, and of it inside SAM's square.

        Raises:
            ValueError: If nothing says them.
        """
        stored = self.tensor(i, "gt_masks", item)
        if "original_size" in item:
            height, width = item["original_size"]
        elif stored is not None:
            height, width = stored.shape[-2:]
        else:
            picture = self.picture(item)
            if picture is None:
                raise ValueError(f"nothing says the size of image {i} ({item['image_file']})")
            height, width = picture.height, picture.width
        return (height, width), sam_size(height, width, self.sizes[1])

    def targets(self, i: int, item: Mapping[str, Any]) -> Tensor | None:
        """Target masks [T, H, W].

        Where several runs share the stored ones, the tree's come first.
        """
        stored = self.tensor(i, "gt_masks", item)
        if stored is not None and (self.alone or self.own):
            return stored
        sample = self.sample(item)
        decoded = None if sample is None else decode(sample, item["expressions"])
        if decoded is not None:
            return decoded
        return stored if stored is not None and len(stored) == len(item["expressions"]) else None


def decode(sample: ReferSample, texts: Sequence[str]) -> Tensor | None:
    """Targets of these texts; None if the image lacks one of them."""
    try:
        chosen = matched(sample, texts)
    except ValueError as error:
        logger.warning("%s", error)
        return None
    return torch.from_numpy(np.stack([sample.mask(e) for e in chosen]))


def matched(sample: ReferSample, texts: Sequence[str]) -> list[Expression]:
    """The image's expression for each text, none twice; upper case and outer blanks do not count.

    Raises:
        ValueError: If it has no such expression.
    """
    left, found = list(sample.expressions), []
    for text in texts:
        same = [e for e in left if e.sent == text] or [
            e for e in left if e.sent.strip().lower() == text.strip().lower()
        ]
        if not same:
            raise ValueError(f"{sample.file_name} has no expression {text!r} that is not taken")
        left.remove(same[0])
        found.append(same[0])
    return found
