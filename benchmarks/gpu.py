"""Everything that wants a GPU, in five parts: ``python -m benchmarks.gpu [--parts PART ...]``.

Each part runs in a process of its own for at most eight minutes and writes
``results/gpu/PART.json``: command, commit, hardware, versions and numbers. A part whose file is
there is not run again, so the same command goes on where it was stopped; delete a file to measure
anew. Measurements in rounds end in time by themselves and say how many rounds there were.

``--tiny --out FOLDER`` runs all of it at miniature size on a processor, to see that it works. It
needs a checkout, nothing else.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parent))

import full_size
import official_order
import selection
import sweep
from common import RESULTS, ROOT, store

from tests.parity import glamm, pruner

MINUTES, MEASURING = 8.0, 5.0
"""Longest time of a part, and how much of it may go to rounds; the rest loads and warms up."""
FIXTURES = ROOT / "tests" / "fixtures" / "parity"
SLACK = 20
"""Times the tolerance that tests have on a processor: another order of additions is allowed."""
TOLERANCES: Mapping[str, float] = {
    "input_ids": 0.0,
    "retained_idx": 0.0,
    "features": 1e-4,
    "projected_tokens": 1e-4,
    "seg_embeddings": 3e-4,
    "pred_masks": 5e-6,
}
"""Absolute, as in the fixtures' README."""
SCORES = 1e-4


def differences(ours: Path, recorded: Path) -> dict[str, float]:
    """Largest difference of each kind of tensor; infinite where one is missing or of other size."""
    got, found = load_file(ours), dict[str, float]()
    for key, tensor in load_file(recorded).items():
        name = key.rpartition(".")[2]
        if name in TOLERANCES:
            same = key in got and got[key].shape == tensor.shape
            apart = float((got[key] - tensor).abs().max()) if same else float("inf")
            found[name] = max(found.get(name, 0.0), apart)
    return found


@torch.inference_mode()
def parity(device: str) -> dict[str, Any]:
    """Put what was recorded of the official code through pruner and a tiny GLaMM, without TF32.

    Raises:
        ValueError: If a kept token differs, or a number by more than is allowed.
    """
    torch.backends.cudnn.allow_tf32 = False
    (run,) = json.loads((FIXTURES / "glamm" / "index.json").read_text())["runs"]
    rows: dict[str, dict[str, float]] = {}
    for part, name in ((pruner, "seed0_cases.safetensors"), (glamm, run["file"])):
        folder = FIXTURES / part.__name__.rpartition(".")[2]
        with TemporaryDirectory() as out:
            part.compute(folder, Path(out), device)
            for kind, apart in differences(Path(out, name), folder / name).items():
                allowed = SLACK * TOLERANCES[kind]
                rows[f"{folder.name}: {kind}"] = {"largest": apart, "allowed": allowed}
            if part is glamm:
                (scores,) = json.loads(Path(out, "scores.json").read_text())
    for name in ("giou", "ciou"):
        rows[name] = {"largest": abs(scores[name] - run[name]), "allowed": SCORES}
    wrong = [name for name, row in rows.items() if not row["largest"] <= row["allowed"]]
    if wrong:
        raise ValueError(f"not what the official code was recorded to answer: {rows}")
    return {"slack": SLACK, "differences": rows}


class Part(NamedTuple):
    """One measurement.

    Attributes:
        question: What it answers.
        measure: Returns its numbers.
        full: Its arguments on a GPU.
        tiny: Its arguments for a run on a processor.
    """

    question: str
    measure: Callable[..., Mapping[str, Any]]
    full: Mapping[str, Any]
    tiny: Mapping[str, Any]


_FULL = {"model": "glamm-7b", "random_init": True, "device": "cuda", "minutes": MEASURING}
_TINY = {"model": "embedded", "device": "cpu"}
PARTS: Mapping[str, Part] = {
    "parity": Part(
        "Does the GPU keep the tokens and draw the masks that the official code was recorded to?",
        parity,
        {"device": "cuda"},
        {"device": "cpu"},
    ),
    "full-size": Part(
        "What does one picture cost by stage and budget, and what is the peak of memory?",
        full_size.measure,
        {"repeats": 40, "budgets": (576, 192, 128, 64), "minutes": MEASURING},
        _TINY | {"repeats": 1, "budgets": (144, 48)},
    ),
    "official-order": Part(
        "How much of the published saving is the order of work of the released code?",
        official_order.measure,
        _FULL | {"budget": 192, "rounds": 30},
        _TINY | {"rounds": 1, "warm_up": 0},
    ),
    "selectors": Part(
        "What does choosing cost beside one CLIP forward, for one image and for 32?",
        selection.measure,
        {"device": "cuda"},
        {"device": "cpu", "seconds": 0.01, "repeats": 1, "layers": 2}
        | {"methods": ("litelvlm", "divprune")},
    ),
    "sweep": Part(
        "How much cheaper is the shared sweep than one call per row, and which pixels change?",
        sweep.measure,
        _FULL | {"images": 8, "methods": sweep.METHODS},
        _TINY | {"images": 1, "methods": ("litelvlm", "random")},
    ),
}


def run_part(name: str, tiny: bool, out: Path) -> None:
    """Measure one part in this process and store it."""
    part = PARTS[name]
    numbers = part.measure(**(part.tiny if tiny else part.full))
    store(name, {"question": part.question, "tiny": tiny, **numbers}, out)


def run_apart(name: str, tiny: bool, out: Path) -> str:
    """Measure one part in a process of its own; returns what became of it."""
    if (out / f"{name}.json").is_file():
        return "there already"
    process = get_context("spawn").Process(target=run_part, args=(name, tiny, out))
    process.start()
    process.join(60 * MINUTES)
    if process.is_alive():
        process.kill()
        process.join()
        return f"failed: not done after {MINUTES:g} minutes"
    return "done" if process.exitcode == 0 else f"failed: exit {process.exitcode}"


def main() -> int:
    """Run the parts; the exit status is the number of those that failed."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--tiny", action="store_true", help="miniature size, on a processor")
    parser.add_argument("--out", type=Path, help="folder of the results; results/gpu if left out")
    given = parser.parse_args()
    if given.tiny and given.out is None:
        parser.error("--tiny measures nothing worth keeping; name another folder with --out FOLDER")
    if not given.tiny and not torch.cuda.is_available():
        parser.error("torch finds no GPU here; --tiny --out FOLDER is the dry run on a processor")
    failed = 0
    for name in given.parts:
        print(f"{name}: {PARTS[name].question}", flush=True)
        state = run_apart(name, given.tiny, given.out or RESULTS / "gpu")
        print(f"{name}: {state}", flush=True)
        failed += state.startswith("failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
