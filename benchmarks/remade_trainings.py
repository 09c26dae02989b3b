"""Small CLIPs made again, with readers of every rule: ``python benchmarks/remade_trainings.py``.

Most readers of the package were asked before there was a value path, a grid and foreign texts, and
their towers are gone. Here trainings of stages B and C are made again and read by every rule. On
another processor a training rounds otherwise and ends elsewhere, so they stand beside the rows of
the package and replace none. Each call makes the trainings of the named seeds that are not made
yet, and tells all that are. With ``--add`` it tells those with them that are stored and are not in
the folder.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, run
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
TEXT_DRIVEN = {
    member.name
    for member in members(STAGES)
    if member.factors.pooling == "mean" or member.factors.helper > 0
}
"""Trainings whose tokens are trained on the text or on the object."""
LEADS = (
    *("value path - random", "value path - LiteLVLM", "value path - grid"),
    *("value path: true - foreign text", "LiteLVLM - random", "LiteLVLM: true - foreign text"),
)
"""What is compared, in IoU, mean of the budgets."""


def outcomes_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of trainings, a line for each."""
    return outcome_table(rows.astype({"value": float, "sd": float}), CONFIG.gate)


def leads(gains: pd.DataFrame) -> pd.DataFrame:
    """Values of ``LEADS``, a column for each."""
    value, lowest = gains["gain_value"], gains["gain"]
    columns = (
        *(value, value - lowest, value - gains["gain_grid"]),
        *(value - gains["gain_value_foreign"], lowest, lowest - gains["gain_lowest_foreign"]),
    )
    return pd.DataFrame(dict(zip(LEADS, columns, strict=True)))


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


def moved(lines: pd.DataFrame) -> "pd.Series[float]":
    """How far each index lies from that of the same seed in the package: what rounding does."""
    held = pd.concat([pd.read_parquet(path) for path in bundled_files()], ignore_index=True)
    before = outcomes_of(held[held["training"].isin(lines["training"])])
    index = before.set_index("training")["reversal_true"]
    return lines["index"] - lines["training"].map(index)


def read(files: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Measured trainings that count, and names of the others.

    A line holds ``LEADS`` and the processor that measured it, which should be the one that trained.
    """
    rows = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    gains = gains_table(rows, outcomes_of(rows), CONFIG.reader_gate)
    counted = counted_gains(gains)
    lines = counted[["training", "stage", "cell", "seed", "index"]].join(leads(counted))
    left_out = sorted(set(gains["training"]) - set(counted["training"]))
    return lines.assign(processor=machine()["cpu"]), left_out


def with_stored(lines: pd.DataFrame, left_out: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Add the trainings that are stored and not among these."""
    stored = json.loads((RESULTS / f"{Path(__file__).stem}.json").read_text())
    here = {*lines["training"], *left_out}
    others = pd.DataFrame(one for one in stored["trainings"] if one["training"] not in here)
    missing = [name for name in stored["left out"] if name not in here]
    return pd.concat([others, lines], ignore_index=True), sorted([*left_out, *missing])


def told(lines: pd.DataFrame, left_out: list[str]) -> dict[str, Any]:
    """What is stored of trainings that count, with the names of those that do not."""
    lines = lines.assign(moved=moved(lines)).sort_values("training", ignore_index=True)
    driven = lines["training"].isin(TEXT_DRIVEN)
    sizes = lines["moved"].abs()
    return {
        "trainings": known(lines),
        "left out": left_out,
        "over trainings": {name: over(lines[name]) for name in LEADS},
        "mean pooling or helper": {name: over(lines.loc[driven, name]) for name in LEADS},
        "class token, no helper": {name: over(lines.loc[~driven, name]) for name in LEADS},
        "conditions": {
            str(cell): known(part.mean().to_frame().T)[0] | {"trainings": len(part)}
            for cell, part in lines[[*LEADS]].groupby(lines["stage"] + "-" + lines["cell"])
        },
        "moved by rounding": {"mean size": sizes.mean(), "largest": sizes.max()},
    }


def measure(
    out: Path, scenes: str | None = None, seeds: tuple[int, ...] = (), add: bool = False
) -> dict[str, Any]:
    """Make the trainings of some seeds, then measure and tell every one that is finished."""
    torch.set_num_threads(1)
    place = Path(scenes) if scenes else out / "scenes"
    numbers = {int(seed) for seed in seeds}
    wanted = [member for member in members(STAGES) if member.seed in numbers]
    for member in tqdm(wanted, disable=not wanted):
        train_member(member, out, place)
    lines, left_out = read(measure_trainings(out, place, readers=True))
    return told(*(with_stored(lines, left_out) if add else (lines, left_out)))


if __name__ == "__main__":
    run(measure)
