"""Rows of measured trainings: a file beside each training, and the bundled ones of the package."""

import io
import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from litelvlm.analysis.studies.emergence.measure import member_rows
from litelvlm.analysis.studies.emergence.scenes import held_out
from litelvlm.data.files import atomic_write
from litelvlm.embedded.family.training import DONE, load_tower, read_member, snapshots

log = logging.getLogger(__name__)
BUNDLE = Path(__file__).parent / "measured"
ROWS = "rows.parquet"


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
    member, kept = read_member(folder), snapshots(folder)
    if not (folder / DONE).exists() or not kept:
        raise FileNotFoundError(f"{folder} holds no finished training; train it to its end first")
    table = held_out(member.factors, scenes)
    last = max(kept)
    tags = {
        "training": member.name,
        "stage": member.stage,
        "cell": member.cell,
        "seed": member.seed,
    }
    rows = [
        {**tags, "step": step, "final": step == last, **row, **asdict(member.factors)}
        for step, path in kept.items()
        for row in member_rows(load_tower(member.factors, path), table, final=step == last)
    ]
    return pd.DataFrame(rows)


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
            f"{family} holds no training; make some with python -m litelvlm.embedded.family"
        )
    return found


def measure_family(family: Path, scenes: Path | None = None) -> list[Path]:
    """Measure what is finished and not measured yet; returns the files of all rows."""
    files = []
    for folder in members_in(family):
        path = folder / ROWS
        if not path.exists():
            if not (folder / DONE).exists():
                continue
            log.info("measuring %s", folder.name)
            write_rows(measured_rows(folder, scenes or family / "scenes"), path)
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
            f"{BUNDLE} holds no rows; name a measured family with --set emergence.family=FOLDER"
        )
    return found
