"""Rows of the emergence study: the measures of every training of the family."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import Field

from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.emergence.gains import READER_GATE
from litelvlm.analysis.studies.emergence.store import bundled_files, measure_family
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel

NOTE = (
    "a sample is a training of the family of small CLIPs, on scenes of its own; "
    "the model and the data set of the command are not read"
)


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        family: Folder of trainings to measure; None takes the rows that the package holds.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
        sink_margin: The same for the logarithm of the lift.
        gate: Least share of pairs of a present and an absent category that a training must tell
            apart; the others do not count in claims about reversal.
        reader_gate: Least mean IoU by which a reader with all tokens must beat the best mask
            without tokens; the others do not count in claims about gains.
        gain_margin: Differences of IoU below it count as none.
    """

    family: Path | None = None
    margin: float = Field(default=0.05, gt=0)
    sink_margin: float = Field(default=0.1, gt=0)
    gate: float = Field(default=0.8, ge=0.5, le=1)
    reader_gate: float = Field(default=READER_GATE, ge=0, le=1)
    gain_margin: float = Field(default=0.02, gt=0)


def prepare(model: StudiedModel, data: Dataset, config: Config) -> Work:
    """Read the rows of the family, or measure it; one sample for each training."""
    files = bundled_files() if config.family is None else measure_family(config.family)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    parts = [part for _, part in rows.groupby("training", sort=True)]

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(training_rows, parts[index])

    return Work(
        data,
        begin,
        sizes=[1] * len(parts),
        resolved={"family": digest.hexdigest()[:16]},
        notes=(NOTE,),
    )


def training_rows(part: pd.DataFrame) -> ItemResult:
    """Rows of one training as plain values."""
    plain = part.astype({"value": "float64", "sd": "float64"})
    names = [str(name) for name in plain.columns]
    columns = [plain[name].tolist() for name in names]
    return ItemResult([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
