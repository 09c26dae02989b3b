"""Read one split of RefCOCO, RefCOCO+, RefCOCOg, RefCLEF or gRefCOCO from its files.

A split holds what the official evaluation takes. Images come in ascending id, expressions in file
order; the official order is that of a Python set and says nothing.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path

from litelvlm.data.annotations import Instances, read_instances
from litelvlm.data.dataset import Expression
from litelvlm.data.layout import FAMILIES, choose, split_test
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.data.refs import Ref, check_belongs, read_refs

logger = logging.getLogger(__name__)


def read_split(
    root: Path, dataset: str | None, split: str, split_by: str | None, name: str | None = None
) -> ReferDataset:
    """Read one split below a `Refer_Segm` folder.

    Args:
        root: The `Refer_Segm` folder.
        dataset: Name of a dataset of the family; None where the folder holds one only.
        split: Name of the split.
        split_by: Author of the split; None for the usual one.
        name: What the result is called; None for the name of the dataset.

    Raises:
        ValueError: If a name is unknown or a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    dataset, author, table = choose(root, dataset, split, split_by, name)
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
    """Give every sentence an id of its own, by which studies pair rows; say what changed."""
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
    note = (
        f"{title}: ids of sentences occur twice, so sentences are numbered anew "
        "in the order of the table"
    )
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
