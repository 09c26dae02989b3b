"""Read one split of RefCOCO, RefCOCO+, RefCOCOg, RefCLEF, gRefCOCO or own data from its files.

A split holds what the official evaluation takes. Images come in ascending id, expressions in file
order; the official order is that of a Python set and says nothing.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from litelvlm.data.annotations import Instances
from litelvlm.data.dataset import Expression
from litelvlm.data.layout import RefFamily, split_test
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.data.refs import Ref
from litelvlm.data.sources.places import choose, family_of, picture_folder
from litelvlm.data.tables import read_tables, without_collection

logger = logging.getLogger(__name__)


@without_collection()
def read_split(
    root: Path, dataset: str | None, split: str, split_by: str | None, name: str | None = None
) -> ReferDataset:
    """Read one split below a `Refer_Segm` folder.

    Args:
        root: The `Refer_Segm` folder.
        dataset: Name of a data set there; None where the folder holds one only.
        split: Name of the split.
        split_by: Author of the split; None for the usual one.
        name: What the result is called; None for the name of the dataset.

    Raises:
        ValueError: If a name is unknown or a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    dataset, author, table = choose(root, dataset, split, split_by, name)
    family, tables = family_of(root, dataset), read_tables(table)
    chosen = tables.refs_of(split_test(split, family.exact))
    if not chosen:
        present = ", ".join(tables.splits) or "nothing"
        raise ValueError(f"{table} has no reference of split {split!r}; it holds {present}")
    instances = tables.instances_of({ref.image_id for ref in chosen})
    note = _repeated_ids(chosen, f"{name or dataset} {split} ({author})")
    samples = _samples(chosen, bool(note), instances, root, family)
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


def _repeated_ids(refs: Sequence[Ref], title: str) -> str:
    """Say that sentences get new ids where some occur twice; studies pair rows by them."""
    ids = [sentence.sent_id for ref in refs for sentence in ref.sentences]
    if len(set(ids)) == len(ids):
        return ""
    note = (
        f"{title}: ids of sentences occur twice, so sentences are numbered anew "
        "in the order of the table"
    )
    logger.warning("%s", note)
    return note


def _samples(
    refs: Iterable[Ref], anew: bool, instances: Instances, root: Path, family: RefFamily
) -> list[ReferSample]:
    by_image: dict[int, list[Expression]] = {}
    numbers = count(1)
    for ref in refs:
        expressions = by_image.setdefault(ref.image_id, [])
        for said in ref.sentences:
            number = next(numbers) if anew else said.sent_id
            expressions.append(
                Expression(number, ref.ref_id, ref.ann_id, ref.category_id, said.sent, said.kind)
            )
    folder, samples = picture_folder(root, family), []
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
                family.pictures,
                instances.by_image.get(image_id, {}),
            )
        )
    return samples
