"""Open a dataset by what a user has of it: a folder, Parquet files, a hub id, or nothing at all."""

from pathlib import Path

from litelvlm.data.embedded import EMBEDDED, EMBEDDED_CLIPS
from litelvlm.data.hub import hub_root, is_parquet_source
from litelvlm.data.refer import ReferDataset
from litelvlm.data.refer_writer import DATASET
from litelvlm.data.sources.places import find_root
from litelvlm.data.splits import read_split


def load_refer(
    root: str | Path = "embedded",
    dataset: str | None = None,
    split: str = "val",
    split_by: str | None = None,
) -> ReferDataset:
    """Open one split of a dataset in REFER layout.

    Args:
        root: The folder `Refer_Segm`, the one that contains it, or the folder of one data set;
            a Parquet file, a folder of them or the hub id of such a data set (see
            ``litelvlm.data.hub``); "embedded-pictograms" for scenes of pictograms,
            "embedded-fresh" for others of them on which nothing was chosen, or "embedded-shapes"
            for scenes of shapes, which are made on first use and kept in the cache folder;
            "embedded" is the first of them.
        dataset: "refcoco", "refcoco+", "refcocog", "refclef", "grefcoco", or the name of data of
            your own; may be left out if the root holds one only. Counts are compared with the
            published ones under these five names alone.
        split: "train", "val", and "testA", "testB" or "test" as the dataset has them; data of your
            own have any.
        split_by: Author of the split; the usual one by default ("unc", for RefCOCOg "umd").

    Raises:
        ValueError: If a name is unknown or a file's content is wrong.
        FileNotFoundError: If a file is missing.
    """
    name = str(root)
    if name in EMBEDDED_CLIPS:
        raise ValueError(f'{name!r} holds clips; use load_clips("{name}", split=...)')
    if name in EMBEDDED:
        if dataset not in (None, name):
            raise ValueError(
                f'dataset={dataset!r} needs root= the folder that holds it; root is "{name}"'
            )
        return read_split(EMBEDDED[name].root(), DATASET, split, split_by, name=name)
    if is_parquet_source(root):
        tree, dataset = hub_root(root, dataset, split, split_by)
        return read_split(tree, dataset, split, split_by)
    tree, dataset = find_root(root, dataset)
    return read_split(tree, dataset, split, split_by)
