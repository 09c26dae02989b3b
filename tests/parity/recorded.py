"""What was recorded about one image of an evaluation run: its turns, its pixels and its targets."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from litelvlm import load_refer
from litelvlm.data.refer import ReferSample
from litelvlm.glamm.preprocess import clip_pixel_values, sam_pixel_values, sam_size
from litelvlm.glamm.prompts import OPENING, Conversation

logger = logging.getLogger(__name__)


def talk_of(item: Mapping[str, Any]) -> Conversation:
    """The recorded conversation, taken apart into questions and answers.

    Raises:
        ValueError: If it cannot be put together again from these.
    """
    turns = re.findall(r"USER: (.*?) ASSISTANT: (.*?)</s>", item["conversation"], re.DOTALL)
    questions, answers = zip(*((asked.removeprefix(OPENING), answered) for asked, answered in turns), strict=True)
    talk = Conversation(tuple(item.get("expressions", questions)), questions, answers)
    if talk.prompt != item["conversation"]:
        raise ValueError(f"the prompt built is not the recorded one: {talk.prompt!r}")
    return talk


class Recorded:
    """Inputs of one run: stored tensors where there are any, else the pictures and tables of the REFER tree.

    Args:
        fixtures: The folder of the tiny GLaMM; a ``refer`` folder may lie beside it.
        run: The run's entry in the index.
        sizes: Sides of CLIP's and SAM's squares in pixels.
        alone: Whether the stored targets can only be this run's.
    """

    def __init__(self, fixtures: Path, run: Mapping[str, Any], sizes: tuple[int, int], alone: bool) -> None:
        self.run, self.sizes, self.alone = run, sizes, alone
        own, shared = fixtures / f"inputs_R{run['retain']}.safetensors", fixtures / "inputs.safetensors"
        self.stored = load_file(own) if own.is_file() else load_file(shared) if shared.is_file() else {}
        self.tree = fixtures.parent / "refer"

    def tensor(self, i: int, name: str) -> Tensor | None:
        """A stored tensor of the i-th image."""
        prefixes = (f"run_R{self.run['retain']}.{i}", f"R{self.run['retain']}.{i}", str(i))
        return next((self.stored[f"{p}.{name}"] for p in prefixes if f"{p}.{name}" in self.stored), None)

    def sample(self, item: Mapping[str, Any]) -> ReferSample | None:
        """The image in the REFER tree."""
        if not (self.tree / "Refer_Segm").is_dir():
            return None
        dataset, split = self.run["dataset"].split("|")[:2]
        data = load_refer(self.tree, dataset=dataset, split=split)
        return next((sample for sample in data if sample.file_name == item["image_file"]), None)

    def pixels(self, i: int, item: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """CLIP's and SAM's squares.

        Raises:
            ValueError: If neither they nor the picture are there.
        """
        clip, sam = self.tensor(i, "clip_pixel_values"), self.tensor(i, "sam_pixel_values")
        if clip is not None and sam is not None:
            return clip, sam
        sample = self.sample(item)
        if sample is None:
            raise ValueError(f"image {i} has neither stored pixels nor a picture in {self.tree}")
        return clip_pixel_values(sample.image(), self.sizes[0]), sam_pixel_values(sample.image(), self.sizes[1])[0]

    def geometry(self, i: int, item: Mapping[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
        """(height, width) of the picture, and of it inside SAM's square."""
        stored, sample = self.tensor(i, "gt_masks"), self.sample(item)
        if "original_size" in item:
            height, width = item["original_size"]
        elif sample is not None:
            height, width = sample.height, sample.width
        elif stored is not None:
            height, width = stored.shape[-2:]
        else:
            raise ValueError(f"nothing says the size of image {i}")
        return (height, width), sam_size(height, width, self.sizes[1])

    def targets(self, i: int, item: Mapping[str, Any]) -> Tensor | None:
        """Target masks [T, H, W]; where several runs share the stored ones, the tree's come first."""
        stored = self.tensor(i, "gt_masks")
        if stored is not None and self.alone:
            return stored
        sample = self.sample(item)
        decoded = None if sample is None else decode(sample, item["expressions"])
        return stored if decoded is None else decoded


def decode(sample: ReferSample, texts: list[str]) -> Tensor | None:
    """Targets of these texts; None if the image has no such expression."""
    chosen = list(matched(sample, texts))
    return torch.from_numpy(np.stack([sample.mask(e) for e in chosen])) if len(chosen) == len(texts) else None


def matched(sample: ReferSample, texts: list[str]) -> Iterator[Any]:
    """The image's expression for each text, none twice; upper case and outer blanks do not count."""
    left = list(sample.expressions)
    for text in texts:
        same = [e for e in left if e.sent == text] or [
            e for e in left if e.sent.strip().lower() == text.strip().lower()
        ]
        if not same:
            logger.warning("%s has no expression %r", sample.file_name, text)
            return
        left.remove(same[0])
        yield same[0]
