"""Read one split of RefCOCO, RefCOCO+, RefCOCOg, RefCLEF or gRefCOCO from its files.

A split holds what the official evaluation takes. Images come in ascending id, expressions in file
order; the official order is that of a Python set and says nothing.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from litelvlm.data.annotations import Instances
from litelvlm.data.dataset import Expression
from litelvlm.data.layout import REF_FAMILIES, choose, split_test
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.data.refs import Ref
from litelvlm.data.tables import read_tables, without_collection

logger = logging.getLogger(__name__)


@without_collection()
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
    tables = read_tables(table)
    chosen = tables.refs_of(split_test(split, REF_FAMILIES[dataset].exact))
    if not chosen:
        present = ", ".join(tables.splits) or "nothing"
        raise ValueError(f"{table} has no reference of split {split!r}; it holds {present}")
    instances = tables.instances_of({ref.image_id for ref in chosen})
    apart, note = _told_apart(chosen, f"{name or dataset} {split} ({author})")
    family = REF_FAMILIES[dataset]
    samples = _samples(apart, instances, root / family.images, family.pictures)
    return ReferDataset(
        name or dataset,
        split,
        author,
        root,
        samples,
        len(chosen),
        instances.categories,
        tables.digest,
        note,
    )


def _told_apart(refs: Sequence[Ref], title: str) -> tuple[Sequence[Ref], str]:
    """Give every sentence an id of its own, by which studies pair rows; say what changed."""
    ids = [sentence.sent_id for ref in refs for sentence in ref.sentences]
    if len(set(ids)) == len(ids):
        return refs, ""
    numbers = count(1)
    renumbered = [
        ref._replace(
            sentences=tuple(sentence._replace(sent_id=next(numbers)) for sentence in ref.sentences)
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
