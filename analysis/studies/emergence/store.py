"""Rows of measured trainings: a file beside each training, and the bundled ones of the package."""

import io
import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.emergence.measure import member_rows
from litelvlm.analysis.studies.emergence.readers import reader_rows
from litelvlm.analysis.studies.emergence.scenes import held_out
from litelvlm.data.files import atomic_write
from litelvlm.training.trainings.factors import Member
from litelvlm.training.trainings.train import DONE, load_tower, read_member, snapshots

log = logging.getLogger(__name__)
BUNDLE = Path(__file__).parent / "measured"
ROWS = "rows.parquet"
READER_ROWS = "reader.parquet"


def measured_rows(folder: Path, scenes: Path) -> pd.DataFrame:
    """Measure one finished training at every kept step.

    Args:
        folder: Of the training.
        scenes: Where rendered scenes are kept.

    Returns:
        One row per value; columns as in the study's table.

    Raises:
        FileNotFoundError: If the folder holds no finished training.
    """
    member, kept = _finished(folder)
    table = held_out(member.factors, scenes)
    last = max(kept)
    rows = [
        _tagged(row, member, step, step == last)
        for step, path in kept.items()
        for row in member_rows(load_tower(member.factors, path), table, final=step == last)
    ]
    return pd.DataFrame(rows)


def read_by_reader(folder: Path, scenes: Path) -> pd.DataFrame:
    """Train a reader on one finished training and measure what pruning costs it.

    Args:
        folder: Of the training.
        scenes: Where rendered scenes are kept.

    Returns:
        One row per value; columns as in the study's table.

    Raises:
        FileNotFoundError: If the folder holds no finished training.
    """
    member, kept = _finished(folder)
    last = max(kept)
    tower = load_tower(member.factors, kept[last])
    rows = reader_rows(tower, member, scenes)
    return pd.DataFrame([_tagged(row, member, last, final=True) for row in rows])


def _finished(folder: Path) -> tuple[Member, dict[int, Path]]:
    member, kept = read_member(folder), snapshots(folder)
    if not (folder / DONE).exists() or not kept:
        raise FileNotFoundError(f"{folder} has no finished training; train it to its end first")
    return member, kept


def _tagged(row: Row, member: Member, step: int, final: bool) -> Row:
    """A measured value with the columns that name its training."""
    return {
        "training": member.name,
        "stage": member.stage,
        "cell": member.cell,
        "seed": member.seed,
        "step": step,
        "final": final,
        **row,
        **asdict(member.factors),
    }


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write rows as Parquet, values in single precision, whole or not at all."""
    small = frame.astype({"value": "float32", "sd": "float32"})
    buffer = io.BytesIO()
    small.to_parquet(buffer, index=False, compression="zstd")
    atomic_write(path, buffer.getvalue())


def members_in(family: Path) -> list[Path]:
    """Folders of all trainings of a family, by name.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = sorted(path.parent for path in family.glob("*/member.json"))
    if not found:
        raise FileNotFoundError(
            f"{family} has no training; make some with python -m litelvlm.training.trainings"
        )
    return found


def measure_family(family: Path, scenes: Path | None = None, readers: bool = False) -> list[Path]:
    """Measure what is finished and not measured yet.

    Args:
        family: Folder of the trainings.
        scenes: Where rendered scenes are kept; ``family / "scenes"`` if left out.
        readers: Whether to train a reader on each training with patches too.

    Returns:
        The files of all rows, those of readers that were measured before among them.
    """
    files = []
    place = scenes or family / "scenes"
    for folder in members_in(family):
        path = folder / ROWS
        if not path.exists():
            if not (folder / DONE).exists():
                continue
            log.info("measuring %s", folder.name)
            write_rows(measured_rows(folder, place), path)
        files.append(path)
        path = folder / READER_ROWS
        if readers and not path.exists() and read_member(folder).factors.image != "bag":
            log.info("reading %s", folder.name)
            write_rows(read_by_reader(folder, place), path)
        if path.exists():
            files.append(path)
    return files


def bundle(files: list[Path], out: Path = BUNDLE) -> None:
    """Write all rows into one file for each stage."""
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    for stage, part in rows.groupby("stage"):
        write_rows(
            part.sort_values(["seed", "cell", "step"], kind="stable"), out / f"{stage}.parquet"
        )


def bundled_files() -> list[Path]:
    """Files of the rows that the package holds.

    Raises:
        FileNotFoundError: If it holds none.
    """
    found = sorted(BUNDLE.glob("*.parquet"))
    if not found:
        raise FileNotFoundError(
            f"{BUNDLE} has no rows; name a measured family with --set emergence.family=FOLDER"
        )
    return found
