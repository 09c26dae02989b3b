"""The arithmetic of docs/scaling.md.

Usage: ``python benchmarks/scaling.py``, after ``python benchmarks/sweep.py``.

A shared sweep as a number of multiply-adds: first on the miniature, where the ratio of the
one-by-one path to the sweep is set beside the one that was measured, then at full size over all
splits of RefCOCO, RefCOCO+ and RefCOCOg. Nothing is timed here.
"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sweep as measured
import torch
from common import RESULTS, no_options, store

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.studies.efficiency.timing import counted_macs
from litelvlm.models.costs import llama_macs
from litelvlm.models.glamm.costs import model_macs
from litelvlm.models.glamm.prompting.prompts import conversation, full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX
from litelvlm.pruning import LayerPruner, Pruner, list_pruners
from litelvlm.pruning.cues import OF_IMAGE, TRUTH

IMAGE, TEXT, MASK = 3.163e12, 0.002e12, 0.002e12
"""Multiply-adds at full size: CLIP's and SAM's image towers, one question, one mask.

Source: ``litelvlm.models.costs``.
"""
SEVEN_B = (32, 4096, 11008)
"""Layers, width and inner width of LLaMA-7B."""
IMAGES, EXPRESSIONS = 9_900, 57_457
BUDGETS, N_TOKENS, OTHER = (192, 128, 64, 32), 576, 124
RATE, GPUS = 100e12, 8
SAME = {"low_similarity": "litelvlm"}
"""Methods that keep the same tokens as another one where an expression stands alone.

Their passes run once.
"""


@dataclass(frozen=True)
class Words:
    """Tokens of a prompt besides the image's.

    These are the ones before it, those after it that all questions share, and an expression's own.
    """

    before: int
    common: int
    own: int


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

    def macs(self, words: Words, expressions: float, size: tuple[int, int, int]) -> float:
        """Multiply-adds for one image."""
        front, behind = self.kept + words.common, words.common + words.own
        if self.kind == "shared":
            first = llama_macs(front, *size, known=words.before)
            return first + expressions * llama_macs(words.own, *size, known=words.before + front)
        if self.kind == "own":
            return expressions * llama_macs(self.kept + behind, *size, known=words.before)
        return expressions * llama_macs(words.before + self.kept + behind, *size)


def kind_of(pruner: Pruner) -> str:
    """What the passes of a method share, see ``Cell``.

    "asks first" means that the language model answers before the method chooses.
    """
    if isinstance(pruner, LayerPruner):
        return "inside"
    if not pruner.needs <= OF_IMAGE | TRUTH | {"text_embeds"}:
        return "asks first"
    return "own" if pruner.text_guided or not pruner.needs <= OF_IMAGE else "shared"


def prompts(model: Any, images: int) -> tuple[Words, float]:
    """Mean token counts of the miniature's prompts, and expressions per image.

    Prompts are counted up to the last state that is read.
    """
    data, counts = load_refer("embedded", split="val"), []
    for index in range(images):
        talks = [conversation([expression.sent]) for expression in data[index].expressions]
        ids = [model.tokenizer.encode(full_prompt(talk)) for talk in talks]
        start = ids[0].index(IMAGE_INDEX)
        behind = [line[start + 1 : line.index(model.tokenizer.seg_id)] for line in ids]
        common = next(
            i for i, column in enumerate(zip(*behind, strict=False)) if len(set(column)) > 1
        )
        counts += [(start, common, len(line) - common) for line in behind]
    return Words(*(round(mean) for mean in np.mean(counts, axis=0))), len(counts) / images


def one_mask(model: Any, images: int, at_once: int = 8) -> float:
    """Multiply-adds of one mask of the decoder that serves many prompts of an image.

    The padding of SAM's square is not upscaled; it is that of the first images.
    """
    data, found = load_refer("embedded", split="val"), []
    for index in range(images):
        picture = data[index].image()
        state = model.encode_image(picture)
        masker = replace(model.masker, at_once=at_once).begin(state)
        prompts = torch.zeros(at_once, model.sam.config.mask_decoder_config.hidden_size)
        call = partial(masker.low_resolution, prompts)
        found.append(counted_macs({"mask": call})["mask"] / at_once)
    return float(np.mean(found))


def miniature() -> dict[str, Any]:
    """Both paths of ``sweep.py`` by multiply-adds, beside what was measured."""
    stored = json.loads((RESULTS / "sweep.json").read_text())
    budgets: list[int] = stored["budgets"]
    model = load_model("embedded", device="cpu")
    words, expressions = prompts(model, stored["images"])
    config = model.llama.config
    size = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    n_other = words.before + words.common + words.own
    single = [model_macs(model, (k,) * config.num_hidden_layers, n_other, 1, 20) for k in budgets]
    image, text = single[0]["clip_image"] + single[0]["sam_encoder"], single[0]["clip_text"]
    kinds = {name: kind_of(Method.parse(name).pruner()) for name in measured.METHODS}
    cells = [Cell(kind, k) for kind in kinds.values() for k in budgets]
    ran = [Cell(kind, k) for name, kind in kinds.items() if name not in SAME for k in budgets]
    llm = sum(
        cell.macs(words, expressions, size) for cell in [*ran, Cell("shared", model.n_tokens)]
    )
    masks = (len(ran) + 1) * expressions * one_mask(model, stored["images"])
    shared = (image + expressions * text + llm + masks) / (len(cells) * expressions)
    alone = sum(sum(parts.values()) for parts in single) / len(single)
    return {
        "words": vars(words),
        "expressions_per_image": expressions,
        "macs_per_row": {"one by one": alone, "shared": shared},
        "shares_of_shared": {
            "image": image / (len(cells) * expressions) / shared,
            "language model": llm / (len(cells) * expressions) / shared,
            "masks": masks / (len(cells) * expressions) / shared,
        },
        "ratio_by_macs": alone / shared,
        "ratio_measured": stored["speed_up"]["processor"]["median"],
    }


def full_size(words: Words) -> dict[str, Any]:
    """All splits on full-size models, the 124 other tokens divided as the miniature's are."""
    total = words.before + words.common + words.own
    before, common = (round(OTHER * count / total) for count in (words.before, words.common))
    words = Words(before, common, OTHER - before - common)
    each = EXPRESSIONS / IMAGES
    kinds = Counter(
        kind_of(method()) for name, method in list_pruners().items() if name != UNPRUNED
    )
    asking = kinds.pop("asks first")
    llm = {
        kind: IMAGES * count * sum(Cell(kind, k).macs(words, each, SEVEN_B) for k in BUDGETS)
        for kind, count in kinds.items()
    }
    n_cells = kinds.total() * len(BUDGETS)
    rows = EXPRESSIONS * (n_cells + 1)
    parts = {
        "image stage": IMAGES * IMAGE,
        "texts": EXPRESSIONS * TEXT,
        "unpruned passes": IMAGES * Cell("shared", N_TOKENS).macs(words, each, SEVEN_B),
        **{f"pruned passes, {kind}": macs for kind, macs in llm.items()},
        "masks": rows * MASK,
    }
    in_full = EXPRESSIONS * kinds.total() * sum(llama_macs(k + OTHER, *SEVEN_B) for k in BUDGETS)
    hours = sum(parts.values()) / RATE / 3600
    return {
        "words": vars(words),
        "methods": dict(kinds),
        "methods_left_out": asking,
        "macs": parts,
        "pruned_passes_if_every_one_ran_in_full": in_full,
        "rows": rows,
        "gpu_hours_at_100_T_macs_per_second": hours,
        "hours_on_8_gpus": hours / GPUS,
    }


def main() -> None:
    """Store both."""
    small = miniature()
    store("scaling", {"miniature": small, "full_size": full_size(Words(**small["words"]))})


if __name__ == "__main__":
    no_options(__doc__)
    main()
