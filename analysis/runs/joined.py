"""Rows of several runs in one table, each with what the record of its run says."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.parts import read_rows


def joined_rows(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Rows of runs, in order, with columns that tell the runs apart.

    A run's folder says these once instead of in every row: study, run_id (the folder's name has
    it), code_sha (commit, None outside a checkout), seed, model_id, dtype, device, protocol,
    dataset, split and split_by. Where rows have such a column themselves, such as the seed of a
    random method, it stays.

    Args:
        folders: Run folders.

    Raises:
        FileNotFoundError: If a folder holds no run, or no rows.
        ValueError: If no folder is given, or a part cannot be read.
    """
    if not folders:
        raise ValueError("name at least one run folder")
    return pd.concat([_with_keys(Path(folder)) for folder in folders], ignore_index=True)


def _with_keys(folder: Path) -> pd.DataFrame:
    record, rows = read_record(folder), read_rows(folder)
    keys = {
        "study": record.study,
        "run_id": record.key[:12],
        "code_sha": record.commit,
        "seed": record.seeds["seed"],
        "model_id": record.model["name"],
        "dtype": record.model["dtype"],
        "device": record.model["device"],
        "protocol": record.protocol,
        "dataset": record.data["name"],
        "split": record.data["split"],
        "split_by": record.data["split_by"],
    }
    found = rows.assign(**{name: value for name, value in keys.items() if name not in rows})
    front = [name for name in keys if name in found]
    return found[[*front, *(name for name in found if name not in keys)]]
