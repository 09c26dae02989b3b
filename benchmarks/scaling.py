"""The arithmetic of docs/scaling.md: ``python benchmarks/scaling.py``.

A shared sweep at full size over all splits of RefCOCO, RefCOCO+ and RefCOCOg, as a number of
multiply-adds. Nothing is timed here.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from common import run

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.models.costs import llama_macs
from litelvlm.pruning import LayerPruner, Pruner, list_pruners
from litelvlm.pruning.cue_table import OF_IMAGE, SUBSTITUTES, TRUTH

IMAGE, TEXT, MASK = 3.163e12, 0.002e12, 0.002e12
"""Multiply-adds at full size: CLIP's and SAM's image towers, one question, one mask.

Source: ``litelvlm.models.costs``.
"""
SEVEN_B = (32, 4096, 11008)
"""Layers, width and inner width of LLaMA-7B."""
IMAGES, EXPRESSIONS = 9_900, 57_457
BUDGETS, N_TOKENS = (192, 128, 64, 32), 576
BEFORE, COMMON, OWN = 69, 30, 25
"""Other tokens: before the image, behind it in all questions, and of the expression alone.

124 of a published prompt, divided as those of the miniature are (34, 15 and 12).
"""
RATE, GPUS = 100e12, 8


@dataclass(frozen=True)
class Cell:
    """The language model under one method at one budget, for all expressions of an image.

    Attributes:
        kind: "shared" if all expressions keep the same tokens, "own" if each keeps its own,
            "inside" if tokens are dropped between layers, where nothing is shared.
        kept: Visual tokens; per layer on average inside the language model.
    """

    kind: str
    kept: int

    def macs(self, expressions: float) -> float:
        """Multiply-adds for one image."""
        front, behind = self.kept + COMMON, COMMON + OWN
        if self.kind == "shared":
            first = llama_macs(front, *SEVEN_B, known=BEFORE)
            return first + expressions * llama_macs(OWN, *SEVEN_B, known=BEFORE + front)
        if self.kind == "own":
            return expressions * llama_macs(self.kept + behind, *SEVEN_B, known=BEFORE)
        return expressions * llama_macs(BEFORE + self.kept + behind, *SEVEN_B)


def kind_of(pruner: Pruner) -> str:
    """What the passes of a method share, see ``Cell``.

    "asks first" means that the language model answers before the method chooses.
    """
    if isinstance(pruner, LayerPruner):
        return "inside"
    if not pruner.needs <= OF_IMAGE | TRUTH | {"text_embeds"}:
        return "asks first"
    return "own" if pruner.text_guided or not pruner.needs <= OF_IMAGE else "shared"


def measure() -> dict[str, Any]:
    """Multiply-adds of a sweep of all methods at four budgets, and GPU hours at an assumed rate."""
    each = EXPRESSIONS / IMAGES
    kinds = Counter(
        kind_of(method())
        for name, method in list_pruners().items()
        if name != UNPRUNED and not method.needs & SUBSTITUTES
    )
    asking = kinds.pop("asks first")
    llm = {
        kind: IMAGES * count * sum(Cell(kind, k).macs(each) for k in BUDGETS)
        for kind, count in kinds.items()
    }
    rows = EXPRESSIONS * (kinds.total() * len(BUDGETS) + 1)
    parts = {
        "image stage": IMAGES * IMAGE,
        "texts": EXPRESSIONS * TEXT,
        "unpruned passes": IMAGES * Cell("shared", N_TOKENS).macs(each),
        **{f"pruned passes, {kind}": macs for kind, macs in llm.items()},
        "masks": rows * MASK,
    }
    in_full = sum(llama_macs(k + BEFORE + COMMON + OWN, *SEVEN_B) for k in BUDGETS)
    hours = sum(parts.values()) / RATE / 3600
    return {
        "methods": dict(kinds),
        "methods_left_out": asking,
        "macs": parts,
        "pruned_passes_if_every_one_ran_in_full": EXPRESSIONS * kinds.total() * in_full,
        "rows": rows,
        "gpu_hours_at_100_T_macs_per_second": hours,
        "hours_on_8_gpus": hours / GPUS,
    }


if __name__ == "__main__":
    run(measure)
