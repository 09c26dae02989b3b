"""Read the RefCOCO family (RefCOCO, RefCOCO+, RefCOCOg, RefCLEF, gRefCOCO) as the official evaluation does.

One sample is one image with every expression of the split on it. Images come in ascending id,
expressions in file order; the official order is that of a Python set and says nothing.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.data.annotations import (
    Annotation,
    Instances,
    RefDataError,
    read_instances,
    union_mask,
)
from litelvlm.data.dataset import Expression
from litelvlm.data.hub import hub_root, is_parquet_source
from litelvlm.data.images import open_image
from litelvlm.data.layout import FAMILIES, KNOWN_COUNTS, Counts, choose, find_root, split_test
from litelvlm.data.refs import NO_TARGET, Ref, check_belongs, read_refs

logger = logging.getLogger(__name__)
EMBEDDED = "embedded"
SPLITS: Mapping[str, tuple[str, ...]] = {
    EMBEDDED: FAMILIES["refcoco"].splits["unc"],
    **{name: next(iter(family.splits.values())) for name, family in FAMILIES.items()},
}
"""Datasets and the splits of their usual author."""


@dataclass(frozen=True)
class ReferSample:
    """One image of a split; pixels and masks are read when asked for.

    Attributes:
        image_id: Id in `instances.json`.
        file_name: File in the image folder.
        height: Pixels.
        width: Pixels.
        expressions: Every expression of the split on this image.
        folder: Image folder.
        pictures: What to unpack there, for messages.
        annotations: Every object of the image by id, whether an expression of this split means it
            or not.
    """

    image_id: int
    file_name: str
    height: int
    width: int
    expressions: tuple[Expression, ...]
    folder: Path = field(repr=False)
    pictures: str = field(repr=False, compare=False)
    annotations: Mapping[int, Annotation] = field(repr=False, compare=False)

    def image(self) -> Image.Image:
        """The RGB image.

        Raises:
            FileNotFoundError: If the file is missing.
            RefDataError: If it has another size than `instances.json` says.
            ValueError: If it is damaged, truncated, or above Pillow's pixel limit (89 million).
        """
        path = self.folder / self.file_name
        if not path.is_file():
            raise FileNotFoundError(
                f"missing image {path}; unpack {self.pictures} into {self.folder}"
            )
        # Annotations lie on the pixels as stored, so no EXIF turn here.
        image = open_image(path, upright=False)
        if image.size != (self.width, self.height):
            raise RefDataError(
                f"{path} is {image.width} x {image.height} pixels, instances.json says "
                f"{self.width} x {self.height}; take both from the same release"
            )
        return image

    def mask(self, expression: Expression) -> UInt8[np.ndarray, "height width"]:
        """Target pixels at original size; zeros where nothing is meant.

        Values above 1 mark overlapping polygons of one object; the official score treats them
        apart, so use `> 0` where a plain mask is wanted.
        """
        meant = [self.annotations[ann_id] for ann_id in expression.ann_ids if ann_id != NO_TARGET]
        return union_mask(meant, self.height, self.width)

    def with_expressions(self, expressions: Sequence[Expression]) -> "ReferSample":
        """The same image with other expressions."""
        return replace(self, expressions=tuple(expressions))

    def masks(self) -> UInt8[np.ndarray, "t height width"]:
        """Targets of all expressions, in their order."""
        return np.stack([self.mask(expression) for expression in self.expressions])


class ReferDataset(Sequence[ReferSample]):
    """The images of one split.

    Attributes:
        name: Dataset ("refcoco", ..., or "embedded").
        split: Split.
        split_by: Author of the split.
        root: The `Refer_Segm` folder.
        categories: Category id to name.
        digest: SHA-256 over the table of references and `instances.json`.
        counts: Expressions, references and images.
        count_note: What differs from the published size of the split, which counts are unknown, and
            whether sentences were numbered anew; empty if every count is as published, and for the
            embedded scenes.
    """

    def __init__(
        self,
        name: str,
        split: str,
        split_by: str,
        root: Path,
        samples: Sequence[ReferSample],
        n_refs: int,
        categories: Mapping[int, str],
        digest: str,
        note: str = "",
    ) -> None:
        self.name, self.split, self.split_by, self.root = name, split, split_by, root
        self.categories, self.digest = categories, digest
        self._samples = tuple(samples)
        self.counts = Counts(
            sum(len(sample.expressions) for sample in samples), n_refs, len(samples)
        )
        self.count_note = "; ".join(
            filter(None, (_count_note(name, split_by, split, self.counts), note))
        )

    @property
    def n_expressions(self) -> int:
        """Number of expressions in the split."""
        return self.counts.expressions or 0

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> ReferSample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReferSample, ...]: ...
    def __getitem__(self, index: int | slice) -> ReferSample | tuple[ReferSample, ...]:
        return self._samples[index]

    def __repr__(self) -> str:
        return (
            f"ReferDataset({self.name}, split={self.split}, split_by={self.split_by}, "
            f"images={len(self)}, expressions={self.n_expressions})"
        )


def load_refer(
    root: str | Path = EMBEDDED,
    dataset: str | None = None,
    split: str = "val",
    split_by: str | None = None,
) -> ReferDataset:
    """Open one split of a dataset in REFER layout.

    Args:
        root: The folder `Refer_Segm` or the one that contains it; a folder of Parquet files or the
            hub id of such a dataset (see ``litelvlm.data.hub``); "embedded" for the procedural
            scenes, which are made on first use and kept in the cache folder.
        dataset: "refcoco", "refcoco+", "refcocog", "refclef" or "grefcoco"; may be left out if the
            root holds one only.
        split: "train", "val", and "testA", "testB" or "test" as the dataset has them.
        split_by: Author of the split; the usual one by default ("unc", for RefCOCOg "umd").

    Raises:
        ValueError: If a name is unknown or a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    if str(root) == EMBEDDED:
        # Imported here: the generator is needed for this dataset only.
        from litelvlm.data.embedded import embedded_root

        if dataset not in (None, EMBEDDED):
            raise ValueError(
                f'dataset={dataset!r} needs root= the folder that holds it; root is "embedded"'
            )
        return _open(embedded_root(), "refcoco", split, split_by, name=EMBEDDED)
    if is_parquet_source(root):
        tree, dataset = hub_root(root, dataset, split, split_by)
        return _open(tree, dataset, split, split_by, name=None)
    return _open(find_root(root), dataset, split, split_by, name=None)


def _open(
    root: Path, dataset: str | None, split: str, split_by: str | None, name: str | None
) -> ReferDataset:
    dataset, author, table = choose(root, dataset, split, split_by)
    refs, instances, digest = _read(table, _stamp(table), _stamp(table.parent / "instances.json"))
    belongs = split_test(split, FAMILIES[dataset].exact)
    chosen = [ref for ref in refs if belongs(ref.split)]
    if not chosen:
        present = ", ".join(sorted({ref.split for ref in refs})) or "nothing"
        raise ValueError(f"{table} has no reference of split {split!r}; it holds {present}")
    apart, note = _told_apart(chosen, f"{name or dataset} {split} ({author})")
    family = FAMILIES[dataset]
    samples = _samples(apart, instances, root / family.images, family.pictures)
    return ReferDataset(
        name or dataset,
        split,
        author,
        root,
        samples,
        len(chosen),
        instances.categories,
        digest,
        note,
    )


def _told_apart(refs: Sequence[Ref], title: str) -> tuple[Sequence[Ref], str]:
    """References whose sentence ids name one sentence each, by which studies pair rows, and what was changed for it."""
    ids = [sentence.sent_id for ref in refs for sentence in ref.sentences]
    if len(set(ids)) == len(ids):
        return refs, ""
    numbers = count(1)
    renumbered = [
        replace(
            ref,
            sentences=tuple(replace(sentence, sent_id=next(numbers)) for sentence in ref.sentences),
        )
        for ref in refs
    ]
    note = f"{title}: ids of sentences occur twice, so sentences are numbered anew in the order of the table"
    logger.warning("%s", note)
    return renumbered, note


def _samples(
    refs: Iterable[Ref], instances: Instances, folder: Path, pictures: str
) -> list[ReferSample]:
    by_image: dict[int, list[Expression]] = {}
    for ref in refs:
        expressions = by_image.setdefault(ref.image_id, [])
        for sentence in ref.sentences:
            expressions.append(
                Expression(
                    sentence.sent_id,
                    ref.ref_id,
                    ref.ann_ids,
                    ref.category_ids,
                    sentence.sent,
                    sentence.kind,
                )
            )
    samples = []
    for image_id in sorted(by_image):
        record = instances.images[image_id]
        samples.append(
            ReferSample(
                image_id,
                record.file_name,
                record.height,
                record.width,
                tuple(by_image[image_id]),
                folder,
                pictures,
                instances.by_image.get(image_id, {}),
            )
        )
    return samples


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change, so that a changed file is read again."""
    if not path.is_file():
        raise FileNotFoundError(f"missing {path}")
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=2)
def _read(table: Path, *_stamps: tuple[int, int]) -> tuple[tuple[Ref, ...], Instances, str]:
    """Parse and check both files; the splits of one dataset share them."""
    instances_path = table.parent / "instances.json"
    table_bytes, instances_bytes = table.read_bytes(), instances_path.read_bytes()
    refs, instances = read_refs(table_bytes, table), read_instances(instances_bytes, instances_path)
    check_belongs(refs, instances, table)
    digest = hashlib.sha256(
        hashlib.sha256(table_bytes).digest() + hashlib.sha256(instances_bytes).digest()
    )
    return refs, instances, digest.hexdigest()


@cache
def _count_note(name: str, split_by: str, split: str, counts: Counts) -> str:
    """Differences from the published size, logged once per split, and what no size is known of."""
    if name not in FAMILIES:
        return ""
    known = KNOWN_COUNTS.get((name, split_by, split), Counts(None, None, None))
    wrong = [
        f"{have} {what} (published: {want})"
        for what, have, want in zip(Counts._fields, counts, known, strict=True)
        if want is not None and have != want
    ]
    unknown = [what for what, want in zip(Counts._fields, known, strict=True) if want is None]
    title, notes = f"{name} {split} ({split_by})", []
    if wrong:
        notes.append(f"{title} has {', '.join(wrong)}")
        logger.warning("%s; scores are not comparable with published ones", notes[0])
    if unknown:
        notes.append(f"{title}: counts unknown of {', '.join(unknown)}")
    return "; ".join(notes)
