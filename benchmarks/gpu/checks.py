"""Is a GPU right? ``python benchmarks/gpu/checks.py --device cuda``.

The miniature runs in float32 on a processor and on the device. Every registered method that works
on grounding models selects on both; the device selects twice. Stored per method: whether the tokens
agree (in every layer, for methods inside the language model), whether two runs on the device agree,
and the largest difference of the mask logits where tokens agree. A method that refuses the model
says why. ``failed`` holds what is wrong: any other error, two runs that differ, or logits further
apart than ``LOGITS``. The exit status is then 1. Other tokens on the device are stored and do not
fail: where scores nearly tie, rounding decides.
"""

import argparse
import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from benchmarks.common import Kept, store
from litelvlm import get_pruner, list_pruners, load_model, load_refer
from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.data.dataset import Sample
from litelvlm.models.glamm.model import Glamm
from litelvlm.pruning import LayerPruner, LayerTrace

BUDGET = 48
LOGITS = 0.05
"""Largest difference of mask logits, which span about 40, that another order of additions makes."""
Answer = tuple[list[list[int]], np.ndarray]


@torch.inference_mode()
def answer(model: Glamm, sample: Sample, method: str) -> Answer:
    """Kept tokens (by layer, for methods inside the language model) and logits of one mask."""
    expression = sample.expressions[0]
    state, asked = model.encode_image(sample.image()), model.conversation([expression.sent])
    coverage = torch.from_numpy(token_coverage(target_mask(sample, expression), model)).float()
    pruner = get_pruner(method)
    if isinstance(pruner, LayerPruner):
        found = model.segment(sample.image(), expression.sent, pruner, BUDGET)
        trace = found.selection
        layers = trace.layers if isinstance(trace, LayerTrace) else ()
        return [sorted(kept.tolist()) for kept in layers], found.logits.float().cpu().numpy()
    cues = model.cues(state, asked, coverage=coverage, key=int(sample.image_id))
    selection = pruner.select(cues, BUDGET)
    (result,) = model.ground([state], [asked], [selection])
    return [sorted(selection.indices.tolist())], result.logits.float().cpu().numpy()


def compare(device: str, methods: list[str], images: int) -> dict[str, Any]:
    """Agreement per method, over the first images of val."""
    data = load_refer("embedded", split="val")
    models = {place: load_model("embedded", device=place, dtype="float32") for place in ("cpu",)}
    models["device"] = load_model("embedded", device=device, dtype="float32")
    kept = Kept("checks")

    def row(method: str) -> dict[str, Any]:
        try:
            answers = [
                [answer(models[place], data[i], method) for place in ("cpu", "device", "device")]
                for i in range(images)
            ]
        except ValueError as error:
            return {"refused": str(error)[:200]}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"[:200]}
        return judged(answers)

    return {method: kept(method, partial(row, method)) for method in tqdm(methods, unit="method")}


def judged(answers: list[list[Answer]]) -> dict[str, Any]:
    """What the answers of one method say, by image: on the processor, and twice on the device."""
    same = [cpu[0] == first[0] for cpu, first, _ in answers]
    twice = [
        first[0] == second[0] and np.array_equal(first[1], second[1])
        for _, first, second in answers
    ]
    apart = [
        float(np.abs(cpu[1] - first[1]).max())
        for (cpu, first, _), alike in zip(answers, same, strict=True)
        if alike
    ]
    row = {"images": len(answers), "same_tokens": sum(same), "same_twice": sum(twice)}
    wrong = [] if all(twice) else ["two runs differ"]
    if apart and not max(apart) <= LOGITS:  # also where one is no number
        wrong.append(f"logits differ by {max(apart):.3g}")
    failed = {"failed": "; ".join(wrong)} if wrong else {}
    return row | {"largest_logit_difference": max(apart, default=None)} | failed


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
