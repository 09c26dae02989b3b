"""Small CLIPs made again, with readers of every rule: ``python benchmarks/remade_trainings.py``.

Most readers of the package were asked before there was a value path, a grid and foreign texts, and
their towers are gone. Here trainings of stages B and C are made again and read by every rule. On
another processor a training rounds otherwise and ends elsewhere, so they stand beside the rows of
the package and replace none. Each call makes the trainings of the named seeds that are not made
yet, and tells all that are.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import run
from tqdm.auto import tqdm

from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.links import counted_gains, gains_table
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.analysis.studies.emergence.store import bundled_files, measure_trainings
from litelvlm.training.trainings.design import members
from litelvlm.training.trainings.train import train_member

STAGES = ("B", "C")
CONFIG = Config()
TEXT_DRIVEN = "pooling == 'mean' or helper > 0"
"""Trainings whose tokens are trained on the text or on the object."""


def outcomes_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of trainings, a line for each."""
    return outcome_table(rows.astype({"value": float, "sd": float}), CONFIG.gate)


def leads(gains: pd.DataFrame) -> pd.DataFrame:
    """What is compared, in IoU, mean of the budgets."""
    value, lowest = gains["gain_value"], gains["gain"]
    return pd.DataFrame(
        {
            "value path - random": value,
            "value path - LiteLVLM": value - lowest,
            "value path - grid": value - gains["gain_grid"],
            "value path: true - foreign text": value - gains["gain_value_foreign"],
            "LiteLVLM - random": lowest,
            "LiteLVLM: true - foreign text": lowest - gains["gain_lowest_foreign"],
        }
    )


def over(values: "pd.Series[float]") -> dict[str, Any]:
    """A mean over trainings, its t interval if there are two, and how many of them are above 0."""
    measured = values.dropna().to_numpy(dtype=np.float64)
    told: dict[str, Any] = {"above 0": int((measured > 0).sum()), "trainings": len(measured)}
    if len(measured):
        found = t_estimate(measured)
        ends = {"mean": found.value, "low": found.low, "high": found.high}
        told |= {name: end for name, end in ends.items() if np.isfinite(end)}
    return told


def known(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines as they are stored, without what was not measured."""
    return [line.dropna().to_dict() for _, line in lines.astype(object).iterrows()]


def moved(outcomes: pd.DataFrame) -> dict[str, Any]:
    """How far indices lie from those of the same seeds in the package: what rounding does."""
    held = pd.concat([pd.read_parquet(path) for path in bundled_files()], ignore_index=True)
    before = outcomes_of(held[held["training"].isin(outcomes["training"])])
    columns = ["reversal_true", "reversal", "found"]
    now, then = (table.set_index("training")[columns] for table in (outcomes, before))
    change = (now - then).dropna()
    return {
        "trainings": len(change),
        "mean": change.mean().to_dict(),
        "mean size": change.abs().mean().to_dict(),
        "largest": change.abs().max().to_dict(),
    }


def measure(out: Path, scenes: str | None = None, seeds: tuple[int, ...] = ()) -> dict[str, Any]:
    """Make the trainings of some seeds, then measure and tell every one that is finished."""
    torch.set_num_threads(1)
    place = Path(scenes) if scenes else out / "scenes"
    numbers = {int(seed) for seed in seeds}
    wanted = [member for member in members(STAGES) if member.seed in numbers]
    for member in tqdm(wanted, disable=not wanted):
        train_member(member, out, place)
    files = measure_trainings(out, place, readers=True)
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    outcomes = outcomes_of(rows)
    gains = gains_table(rows, outcomes, CONFIG.reader_gate)
    counted = counted_gains(gains)
    compared = leads(counted)
    driven = counted.eval(TEXT_DRIVEN)
    lines = counted[["training", "stage", "cell", "seed", "index"]].join(compared)
    return {
        "trainings": known(lines),
        "left out": sorted(set(gains["training"]) - set(counted["training"])),
        "over trainings": {name: over(compared[name]) for name in compared},
        "mean pooling or helper": {name: over(compared.loc[driven, name]) for name in compared},
        "class token, no helper": {name: over(compared.loc[~driven, name]) for name in compared},
        "conditions": {
            str(cell): known(part.mean().to_frame().T)[0] | {"trainings": len(part)}
            for cell, part in compared.groupby(counted["stage"] + "-" + counted["cell"])
        },
        "moved by rounding": moved(outcomes),
    }


if __name__ == "__main__":
    run(measure)
