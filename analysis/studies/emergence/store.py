"""Rows of measured trainings: a file beside each training, and the bundled ones of the package."""

import io
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.studies.emergence.measure import member_rows
from litelvlm.analysis.studies.emergence.readers import reader_rows
from litelvlm.analysis.studies.emergence.scenes import held_out
from litelvlm.data.files import atomic_write
from litelvlm.training.trainings.factors import Member
from litelvlm.training.trainings.train import DONE, RECORD, load_tower, read_member, snapshots

log = logging.getLogger(__name__)
BUNDLE = Path(__file__).parent / "measured"
ROWS = "rows.parquet"
READER_ROWS = "reader.parquet"


def measured_rows(folder: Path, scenes: Path, reader: bool = False) -> pd.DataFrame:
    """Measure one finished training at every kept step, or what pruning costs a reader at its end.

    Args:
        folder: Of the training.
        scenes: Where rendered scenes are kept.
        reader: Train a small grounding model on the finished tower and prune what it reads.

    Returns:
        One row per value; columns as in the study's table.

    Raises:
        FileNotFoundError: If the folder holds no finished training.
    """
    member, kept = read_member(folder), snapshots(folder)
    if not (folder / DONE).exists() or not kept:
        raise FileNotFoundError(f"{folder} has no finished training; train it to its end first")
    towers = {step: load_tower(member.factors, path) for step, path in kept.items()}
    last = max(towers)
    if reader:
        return _tagged(reader_rows(towers[last], member, scenes), member, last, final=True)
    table = held_out(member.factors, scenes)
    return pd.concat(
        _tagged(member_rows(tower, table, step == last), member, step, step == last)
        for step, tower in towers.items()
    )


def _tagged(rows: Sequence[Row], member: Member, step: int, final: bool) -> pd.DataFrame:
    """Measured values with the columns that name their training."""
    tags: Row = {"training": member.name, "stage": member.stage, "cell": member.cell}
    tags |= {"seed": member.seed, "step": step, "final": final}
    return pd.DataFrame([{**tags, **row, **asdict(member.factors)} for row in rows])


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write rows as Parquet, values in single precision, whole or not at all."""
    small = frame.astype({"value": "float32", "sd": "float32"})
    buffer = io.BytesIO()
    small.to_parquet(buffer, index=False, compression="zstd")
    atomic_write(path, buffer.getvalue())


def measure_trainings(
    trainings: Path, scenes: Path | None = None, readers: bool = False
) -> list[Path]:
    """Measure what is finished and not measured yet.

    Args:
        trainings: Their folder.
        scenes: Where rendered scenes are kept; ``trainings / "scenes"`` if left out.
        readers: Whether to train a reader on each training with patches too.

    Returns:
        The files of all rows, those of readers that were measured before among them.

    Raises:
        FileNotFoundError: If the folder has no training, or none that is finished.
    """
    files, place = list[Path](), scenes or trainings / "scenes"
    folders = sorted(path.parent for path in trainings.glob(f"*/{RECORD}"))
    if not folders:
        raise FileNotFoundError(
            f"{trainings} has no training; make some with python -m litelvlm.training trainings"
        )
    for folder in folders:
        if not (folder / DONE).exists() and not (folder / ROWS).exists():
            continue
        reads = readers and read_member(folder).factors.image != "bag"
        for name, reader in ((ROWS, False), (READER_ROWS, True)):
            if (reads or not reader) and not (folder / name).exists():
                log.info("measuring %s for %s", folder.name, name)
                write_rows(measured_rows(folder, place, reader), folder / name)
            if (folder / name).exists():
                files.append(folder / name)
    if not files:
        raise FileNotFoundError(
            f"{trainings} has no finished training; the command that began them goes on with them"
        )
    return files


def bundle(files: list[Path], out: Path = BUNDLE) -> None:
    """Put all rows into one file for each stage, where trainings that are not given stay."""
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    for stage, part in rows.groupby("stage"):
        path = out / f"{stage}.parquet"
        if path.exists():
            held = pd.read_parquet(path)
            others = held[~held["training"].isin(part["training"])]
            part = pd.concat([others, part], ignore_index=True)
        write_rows(part.sort_values(["seed", "cell", "step"], kind="stable"), path)


def bundled_files() -> list[Path]:
    """Files of the rows that the package holds.

    Raises:
        FileNotFoundError: If it holds none.
    """
    found = sorted(BUNDLE.glob("*.parquet"))
    if not found:
        raise FileNotFoundError(
            f"{BUNDLE} has no rows; name measured trainings with --set emergence.trainings=FOLDER"
        )
    return found
