"""Target masks decoded from a tree in REFER layout."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from litelvlm import load_refer
from litelvlm.data.annotations import RefDataError
from litelvlm.data.layout import REF_FAMILIES
from litelvlm.data.refer import ReferDataset
from tests.parity.failures import Failures
from tests.parity.recorded import matched

Decode = Callable[[], np.ndarray]


def compute(fixtures: Path, out: Path) -> None:
    """Write ``decoded_masks.safetensors``: per image the masks [T, H, W] of its expressions."""
    listing, failures = fixtures / "decoded_masks.json", Failures()
    images = (
        listed(fixtures, json.loads(listing.read_text()))
        if listing.is_file()
        else present(fixtures)
    )
    masks: dict[str, Tensor] = {}
    for key, decode in images:
        with failures.of(key):
            masks[key] = torch.from_numpy(decode())
    save_file(masks, out / "decoded_masks.safetensors")
    failures.raise_any()


def listed(fixtures: Path, sources: dict[str, list]) -> Iterator[tuple[str, Decode]]:
    """The listed images, expressions in the order listed."""
    for source, entries in sources.items():
        name, split, *author = source.split("|")
        open_split = partial(
            load_refer, fixtures, dataset=name, split=split, split_by=next(iter(author), None)
        )
        for entry in entries:
            yield entry["key"], partial(decode_entry, open_split, entry)


def decode_entry(open_split: Callable[[], ReferDataset], entry: dict[str, Any]) -> np.ndarray:
    """Masks of one listed image.

    Raises:
        ValueError: If the split lacks the image or one of the expressions.
    """
    samples = {sample.file_name: sample for sample in open_split()}
    if entry["image_file"] not in samples:
        raise ValueError(f"the split has no image {entry['image_file']}")
    sample = samples[entry["image_file"]]
    return np.stack([sample.mask(e) for e in matched(sample, entry["expressions"])])


def present(fixtures: Path) -> Iterator[tuple[str, Decode]]:
    """Without a listing: every image of every split of the first author present.

    Images are numbered by ascending image id.
    """
    for name, family in REF_FAMILIES.items():
        folder = fixtures / "Refer_Segm" / name
        if not folder.is_dir():
            continue
        authors = [
            a
            for a, tables in family.tables.items()
            if any((folder / table).is_file() for table in tables)
        ]
        author = authors[0] if authors else next(iter(family.splits))
        for split in family.splits[author]:
            open_split = partial(load_refer, fixtures, dataset=name, split=split, split_by=author)
            try:
                data = open_split()
            except (FileNotFoundError, RefDataError):  # to be told under its name
                yield f"{name}.{split}", lambda again=open_split: again()[0].targets()
            except ValueError:  # no reference belongs to this split
                continue
            else:
                yield from (
                    (f"{name}.{split}.{i}", sample.targets) for i, sample in enumerate(data)
                )
