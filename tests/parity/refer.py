"""Target masks decoded from a tree in REFER layout."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from litelvlm import load_refer
from litelvlm.data.layout import FAMILIES
from litelvlm.data.refer import Expression, ReferSample
from tests.parity.recorded import matched


def compute(fixtures: Path, out: Path) -> None:
    """Write ``decoded_masks.safetensors``: per image the masks [T, H, W] of its expressions."""
    listing = fixtures / "decoded_masks.json"
    images = listed(fixtures, json.loads(listing.read_text())) if listing.is_file() else present(fixtures)
    masks = {key: np.stack([sample.mask(e) for e in expressions]) for key, sample, expressions in images}
    save_file({key: torch.from_numpy(planes) for key, planes in masks.items()}, out / "decoded_masks.safetensors")


def listed(fixtures: Path, sources: dict[str, list]) -> Iterator[tuple[str, ReferSample, list[Expression]]]:
    """The listed images, expressions in the order listed."""
    for source, entries in sources.items():
        name, split, *author = source.split("|")
        data = load_refer(fixtures, dataset=name, split=split, split_by=next(iter(author), None))
        samples = {sample.file_name: sample for sample in data}
        for entry in entries:
            sample = samples[entry["image_file"]]
            yield entry["key"], sample, list(matched(sample, entry["expressions"]))


def present(fixtures: Path) -> Iterator[tuple[str, ReferSample, list[Expression]]]:
    """Without a listing: every image of every split, numbered by ascending image id."""
    for name, family in FAMILIES.items():
        if not (fixtures / "Refer_Segm" / name).is_dir():
            continue
        for split in next(iter(family.splits.values())):
            try:
                data = load_refer(fixtures, dataset=name, split=split)
            except ValueError:  # no reference belongs to this split
                continue
            for i, sample in enumerate(data):
                yield f"{name}.{split}.{i}", sample, list(sample.expressions)
