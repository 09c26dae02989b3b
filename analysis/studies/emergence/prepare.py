"""Read the stored rows of all trainings, or measure trainings; one sample for each."""

import hashlib
from collections.abc import Callable
from functools import partial

import pandas as pd

from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.store import bundled_files, measure_trainings
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel

NOTE = (
    "a sample is a training of a small CLIP, on scenes of its own; "
    "the model and the data set of the command are not read"
)


def prepare(model: StudiedModel, data: Dataset, config: Config) -> Work:
    """Find the rows; the run's key holds their digest."""
    files = bundled_files() if config.trainings is None else measure_trainings(config.trainings)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    parts = [part for _, part in rows.groupby("training", sort=True)]

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(training_rows, parts[index])

    return Work(
        data,
        begin,
        sizes=[1] * len(parts),
        resolved={"trainings": digest.hexdigest()[:16]},
        notes=(NOTE,),
    )


def training_rows(part: pd.DataFrame) -> ItemResult:
    """Rows of one training as plain values."""
    plain = part.astype({"value": "float64", "sd": "float64"})
    names = [str(name) for name in plain.columns]
    columns = [plain[name].tolist() for name in names]
    return ItemResult([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
