"""Does a GPU answer as the official code did? ``python benchmarks/gpu/parity.py --device cuda``.

The recorded inputs of ``tests/fixtures/parity`` go through the pruner and through a tiny GLaMM on
the device, in float32 without TF32, and the answers are put beside the recorded ones. The exit
status is 1 if a kept token differs, or a number by more than ``SLACK`` times the tolerance that the
tests have on a processor: another order of additions is allowed, another computation is not.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.common import OWN, Kept, store
from tests.parity import glamm, pruner

FIXTURES = OWN.parent / "tests" / "fixtures" / "parity"
SLACK = 20
TOLERANCES = {
    "pruner": {"retained_idx": 0.0, "features": 1e-4},
    "glamm": {
        "input_ids": 0.0,
        "retained_idx": 0.0,
        "projected_tokens": 1e-4,
        "seg_embeddings": 3e-4,
        "pred_masks": 5e-6,
    },
}
"""Absolute, as in the fixtures' README."""
SCORES = 1e-4


def largest(ours: Path, recorded: Path, names: dict[str, float]) -> dict[str, float]:
    """Largest difference of each kind of tensor; infinite where one is missing or of other size."""
    got, expected = load_file(ours), load_file(recorded)
    found = dict.fromkeys(names, 0.0)
    for key, tensor in expected.items():
        name = key.rpartition(".")[2]
        if name in names:
            same = key in got and got[key].shape == tensor.shape
            apart = float((got[key] - tensor).abs().max()) if same else float("inf")
            found[name] = max(found[name], apart)
    return found


def pruner_differences(device: str) -> dict[str, float]:
    """Selections in 24 recorded cases."""
    name, folder = "seed0_cases.safetensors", FIXTURES / "pruner"
    with TemporaryDirectory() as out, torch.inference_mode():
        pruner.compute(folder, Path(out), device)
        return largest(Path(out, name), folder / name, TOLERANCES["pruner"])


def glamm_differences(device: str) -> dict[str, float]:
    """Prompt, selection, tokens, masks and scores of the recorded run."""
    folder = FIXTURES / "glamm"
    (run,) = json.loads((folder / "index.json").read_text())["runs"]
    with TemporaryDirectory() as out, torch.inference_mode():
        glamm.compute(folder, Path(out), device)
        (scores,) = json.loads(Path(out, "scores.json").read_text())
        found = largest(Path(out, run["file"]), folder / run["file"], TOLERANCES["glamm"])
    return found | {name: abs(scores[name] - run[name]) for name in ("giou", "ciou")}


def judged(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each difference with its tolerance and with what is allowed on a device."""
    rows = {}
    for folder, differences in found.items():
        for name, apart in differences.items():
            tolerance = TOLERANCES[folder].get(name, SCORES)
            allowed = tolerance if name in ("giou", "ciou") else SLACK * tolerance
            rows[f"{folder}: {name}"] = {
                "largest": apart,
                "tolerance": tolerance,
                "allowed": allowed,
            }
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    given = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False
    kept = Kept("parity")
    found: dict[str, Any] = {
        "pruner": kept("pruner", partial(pruner_differences, given.device)),
        "glamm": kept("glamm", partial(glamm_differences, given.device)),
    }
    rows = judged(found)
    store("parity", {"slack": SLACK, "differences": rows})
    wrong = [name for name, row in rows.items() if not row["largest"] <= row["allowed"]]
    if wrong:
        sys.exit(f"not what the official code was recorded to answer: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
