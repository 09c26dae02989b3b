"""Is a GPU right? ``python benchmarks/gpu/checks.py --device cuda``.

The miniature runs in float32 on a processor and on the device. Every registered method that works
on grounding models selects on both; the device selects twice. Stored per method: whether the tokens
agree, whether two runs on the device agree, and the largest difference of the mask logits. A
method that refuses the model says why. Any other error is stored as a failure, and the exit status
is 1.
"""

import argparse
import sys
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from benchmarks.common import store
from litelvlm import get_pruner, list_pruners, load_model, load_refer
from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.data.dataset import Sample
from litelvlm.models.glamm.model import Glamm
from litelvlm.pruning import LayerPruner

BUDGET = 48


@torch.inference_mode()
def answer(model: Glamm, sample: Sample, method: str) -> tuple[list[int], np.ndarray]:
    """Kept tokens and mask logits of the first expression."""
    expression = sample.expressions[0]
    state, asked = model.encode_image(sample.image()), model.conversation([expression.sent])
    coverage = torch.from_numpy(token_coverage(target_mask(sample, expression), model)).float()
    pruner = get_pruner(method)
    if isinstance(pruner, LayerPruner):
        found = model.segment(sample.image(), expression.sent, pruner, BUDGET)
        return [], found.logits.float().cpu().numpy()
    cues = model.cues(state, asked, coverage=coverage, key=int(sample.image_id))
    selection = pruner.select(cues, BUDGET)
    (result,) = model.ground([state], [asked], [selection])
    return sorted(selection.indices.cpu().tolist()), result.logits.float().cpu().numpy()


def compare(device: str, methods: list[str], images: int) -> dict[str, Any]:
    """Agreement per method, over the first images of val."""
    data = load_refer("embedded", split="val")
    models = {place: load_model("embedded", device=place, dtype="float32") for place in ("cpu",)}
    models["device"] = load_model("embedded", device=device, dtype="float32")
    rows: dict[str, Any] = {}
    for method in tqdm(methods, unit="method"):
        try:
            answers = [
                [answer(models[place], data[i], method) for place in ("cpu", "device", "device")]
                for i in range(images)
            ]
        except ValueError as error:
            rows[method] = {"refused": str(error)[:200]}
            continue
        except Exception as error:
            rows[method] = {"failed": f"{type(error).__name__}: {error}"[:200]}
            continue
        rows[method] = {
            "images": images,
            "same_tokens": sum(cpu[0] == first[0] for cpu, first, _ in answers),
            "same_twice": sum(
                first[0] == second[0] and np.array_equal(first[1], second[1])
                for _, first, second in answers
            ),
            "largest_logit_difference": max(
                float(np.abs(cpu[1] - first[1]).max()) for cpu, first, _ in answers
            ),
        }
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--methods", nargs="+", default=list(list_pruners()))
    given = parser.parse_args()
    rows = compare(given.device, given.methods, given.images)
    store("checks", {"methods": rows})
    failed = [method for method, row in rows.items() if "failed" in row]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
