"""The settled contrasts of CLIP over trainings: ``python benchmarks/mechanism_trainings.py``.

Measures the CLIPs that ``python -m litelvlm.training towers`` left in a folder, on both splits of
the fresh scenes, and adds them to what is stored; so the trainings may be made in several sittings.
Each keeps the digest of its weights and the code and machine that measured it, and how often it
tells a referent's category from absent ones on val ("found"). The claims are made once, when every
training that ``settled.json`` names is stored: over the trainings, as settled, and over their
seeds. Means of the cells over seeds, and of the contrasts in each condition, are stored beside them
as description.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from common import RESULTS, code_state, machine, run
from recipes import referents, summary

from litelvlm.analysis.api import complete_run, read_rows
from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.ends import DIFFERENCE, INDEX, Ends
from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.analysis.studies import mechanism
from litelvlm.analysis.studies.mechanism.contrasts import (
    SETTLED,
    cells_of,
    claims_over_trainings,
    training_means,
)
from litelvlm.clip.load import load_tower
from litelvlm.data.load import load_refer
from litelvlm.models.glamm.build import load_model
from litelvlm.training.glamm.towers import TOWER

STORED = RESULTS / "mechanism_trainings.json"
PLAN = json.loads(SETTLED.read_text())
SPLITS = tuple(PLAN["data"]["splits"])
TRAININGS = tuple(
    f"{condition}-{seed}"
    for condition in PLAN["trainings"]["conditions"]
    for seed in PLAN["trainings"]["seeds"]
)
NUMBERS = ("estimate", "low", "high", "p_value", "n", "verdict")


def measured(towers: Path, names: list[str], out: Path) -> Iterator[tuple[str, str, Any]]:
    """Training, split, and its cells and contrasts as means over expressions."""
    model = load_model("embedded", dtype="float32", device="cpu")
    paths = {str(towers / f"pictograms-{name}" / TOWER): name for name in names}
    config = mechanism.Config(clip=tuple(paths), over="trainings")
    for split in SPLITS:
        data = load_refer(PLAN["data"]["name"], split=split)
        folder = complete_run(mechanism.STUDY, model, data, config, out)
        rows, _ = primary(read_rows(folder))
        contrasts = training_means(rows)
        for clip, part in rows[rows["clip_model"] != ""].groupby("clip_model"):
            cells = cells_of(part)
            counts = {"n_images": int(part["image_id"].nunique()), "n": len(cells)}
            means = {"cells": cells.mean().round(5).to_dict(), "contrasts": contrasts[str(clip)]}
            yield paths[str(clip)], split, {"run": folder.name} | counts | means


def values(trainings: Mapping[str, Any], split: str, what: str = "contrasts") -> pd.DataFrame:
    """A training a line, a contrast or a cell a column."""
    return pd.DataFrame({name: one[split][what] for name, one in trainings.items()}).T


def seed_means(each: pd.DataFrame) -> pd.DataFrame:
    """A seed a line: the mean over its conditions.

    Trainings of one seed begin with the same weights and see the same scenes, so they are not
    independent. The settled claims count them as if they were.
    """
    return each.groupby(each.index.str.rsplit("-").str[-1]).mean()


def claims(by_split: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Every contrast in each split, and which are confirmed."""
    return told(
        {
            split: claims_over_trainings(units.to_dict("records"), PLAN["margin"])
            for split, units in by_split.items()
        }
    )


def told(made: Mapping[str, Sequence[Claim]]) -> dict[str, Any]:
    """Claims by split as numbers, and the ids of those that every split supports."""
    by_id = [{claim.id: claim.verdict for claim in part} for part in made.values()]
    confirmed = [id for id in by_id[0] if all(part[id] == "supported" for part in by_id)]
    return {
        split: {claim.id: {key: getattr(claim, key) for key in NUMBERS} for claim in part}
        for split, part in made.items()
    } | {"confirmed": confirmed}


def cell_means(trainings: Mapping[str, Any]) -> dict[str, Any]:
    """By split and cell, the mean index over seeds, and the outer values of the trainings."""
    tables = {split: values(trainings, split, "cells") for split in SPLITS}
    return {
        split: {
            str(cell): _mean(found, INDEX)
            | {"least": float(table[cell].min()), "most": float(table[cell].max())}
            for cell, found in seed_means(table).items()
        }
        for split, table in tables.items()
    }


def condition_means(each: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """By split, condition and contrast, the mean over the seeds that were trained so."""
    return {
        split: {
            str(condition): {str(name): _mean(found, DIFFERENCE) for name, found in part.items()}
            for condition, part in units.groupby(units.index.str.rsplit("-").str[0])
        }
        for split, units in each.items()
    }


def _mean(found: "pd.Series[float]", reach: Ends) -> dict[str, float]:
    mean = t_estimate(found.to_numpy(), reach)
    return {"mean": mean.value, "low": mean.low, "high": mean.high, "n": mean.n}


def digest_of(clip: Path) -> str:
    """SHA-256 of a CLIP's weights, by which a training is known again."""
    return sha256((clip / "model.safetensors").read_bytes()).hexdigest()


def measure(towers: Path, out: Path) -> dict[str, Any]:
    """Add the trainings in a folder to those that are stored; runs go to another folder."""
    stored = json.loads(STORED.read_text())["trainings"] if STORED.is_file() else {}
    ready = [
        name
        for name in TRAININGS
        if name not in stored and (towers / f"pictograms-{name}" / TOWER).is_dir()
    ]
    for name in ready:
        weights = digest_of(towers / f"pictograms-{name}" / TOWER)
        stored[name] = {"weights": weights, **code_state(), "machine": machine()}
    for name, split, numbers in measured(towers, ready, out) if ready else ():
        stored[name][split] = numbers
    for name, one in stored.items():
        clip = towers / f"pictograms-{name}" / TOWER
        if "found" not in one and clip.is_dir() and digest_of(clip) == one["weights"]:
            told_apart = summary(list(referents(load_tower(clip, device="cpu"))))
            one["found"] = dict(zip(("mean", "low", "high"), told_apart["found"], strict=True))
    left = [name for name in TRAININGS if name not in stored]
    done = {name: stored[name] for name in TRAININGS if name in stored}
    if left:
        return {"trainings": done, "left": left}
    each = {split: values(done, split) for split in SPLITS}
    seeds = {split: seed_means(units) for split, units in each.items()}
    made = {"claims": claims(each), "claims_over_seeds": claims(seeds)}
    means = {"cells": cell_means(done), "contrasts": condition_means(each)}
    return {"trainings": done, **made, **means}


if __name__ == "__main__":
    run(measure)
