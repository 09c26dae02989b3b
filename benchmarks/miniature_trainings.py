"""What pruning costs over complete miniatures: ``python benchmarks/miniature_trainings.py``.

Trains a whole miniature of each seed on its CLIP that ``python -m litelvlm.training towers`` left,
scores it on both splits of the fresh scenes in both protocols, and adds it to what is stored; so
the trainings may be made in several sittings. ``settled_miniatures.json`` says what is asked. The
claims are made once, when every training that it names is stored. Trainings go on where they
stopped, and two processes may train different seeds side by side.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import OWN, RESULTS, code_state, machine, run
from mechanism_trainings import told

from litelvlm.analysis.api import complete_run, read_summary
from litelvlm.analysis.runs.over_trainings import over_trainings, training_claim
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.mechanism.contrasts import judged
from litelvlm.data.files import atomic_folder
from litelvlm.data.load import load_refer
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.train import export, train

STORED = RESULTS / "miniature_trainings.json"
PLAN = json.loads((OWN / "settled_miniatures.json").read_text())
SEEDS, SPLITS, PROTOCOLS = PLAN["trainings"]["seeds"], PLAN["data"]["splits"], PLAN["protocols"]
RECIPE = RECIPES["pictograms"]
CPU = torch.device("cpu")


def trained(seed: int, towers: Path, scenes: Path, out: Path) -> Path:
    """The checkpoint of a seed; its first stage is the finished one of its tower."""
    folder = out / f"pictograms-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"{RECIPE.clip.name}.jsonl", f"{RECIPE.clip.name}.safetensors"):
        if not (folder / name).exists():
            shutil.copy2(towers / f"pictograms-helper-{seed}" / name, folder / name)

    def fill(place: Path) -> None:
        export(train(RECIPE, folder, scenes, seed, CPU), place)

    return atomic_folder(folder / "checkpoint", fill)


def scores(model: Glamm, split: str, protocol: str, runs: Path) -> dict[str, Any]:
    """Run and cIoU of every method and budget, with intervals over images."""
    config = sweep.Config(
        methods=tuple(PLAN["methods"]),
        budgets=tuple(PLAN["budgets"]),
        seeds=PLAN["draws"],
        protocol=protocol,
    )
    data = load_refer(PLAN["data"]["name"], split=split)
    folder = complete_run(sweep.STUDY, model, data, config, runs)
    table = read_summary(folder).table("scores")
    lines = table[table["metric"] == "ciou"]
    wanted = ["method", "budget", "value", "low", "high", "n_images", "n"]
    return {"run": folder.name, "scores": lines[wanted].to_dict("records")}


def differences(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Each contrast of one training, as the mean over budgets."""
    value = {(line["method"], line["budget"]): line["value"] for line in lines}
    return {
        entry["id"]: float(
            np.mean(
                [
                    sum(weight * value[method, budget] for method, weight in entry["cells"].items())
                    for budget in PLAN["budgets"]
                ]
            )
        )
        for entry in PLAN["contrasts"]
    }


def claims(trainings: dict[str, Any], protocol: str) -> dict[str, Any]:
    """Every contrast in each split, and which are confirmed."""
    made = {}
    for split in SPLITS:
        each = [one[split][protocol]["contrasts"] for one in trainings.values()]
        alone = [
            training_claim(
                entry["id"],
                entry["says"],
                over_trainings(np.array([one[entry["id"]] for one in each]), PLAN["margin"]),
                "no difference",
            )
            for entry in PLAN["contrasts"]
        ]
        made[split] = judged(alone, len(PLAN["contrasts"]))
    return told(made)


def measured(folder: Path, runs: Path) -> dict[str, Any]:
    """What is stored of one checkpoint."""
    model = load_model(folder, dtype="float32", device="cpu")
    found: dict[str, Any] = {"weights": model.digest, **code_state(), "machine": machine()}
    for split in SPLITS:
        made = {name: scores(model, split, name, runs) for name in PROTOCOLS}
        found[split] = {
            name: one | {"contrasts": differences(one["scores"])} for name, one in made.items()
        }
    return found


def already_stored() -> dict[str, Any]:
    """Trainings by seed."""
    found: dict[str, Any] = {}
    if STORED.is_file():
        found |= json.loads(STORED.read_text())["trainings"]
    return found


def measure(
    towers: Path, scenes: Path, out: Path, seeds: tuple[int, ...] = tuple(SEEDS)
) -> dict[str, Any]:
    """Train the miniatures of some seeds, score those that are not stored, and add them."""
    new = {
        str(seed): measured(trained(seed, towers, scenes, out), out / "runs")
        for seed in seeds
        if str(seed) not in already_stored()
    }
    stored = already_stored() | new  # read again: other seeds may be done by now
    left = [seed for seed in SEEDS if str(seed) not in stored]
    done = {str(seed): stored[str(seed)] for seed in SEEDS if str(seed) in stored}
    told = {"left": left} if left else {"claims": {p: claims(done, p) for p in PROTOCOLS}}
    return {"trainings": done, **told}


if __name__ == "__main__":
    run(measure)
