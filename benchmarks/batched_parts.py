"""Where the time of a shared sweep goes, and what each batched part gains over the plain one.

Usage: ``python benchmarks/batched_parts.py [--rounds N]``.

Functions are timed from outside; a part's time is that of its functions without the parts that they
call. Both paths run in turn in each round, so that a machine that grows slow hurts both alike.
Processor time, as the machines are shared.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from time import process_time
from typing import Any
from unittest import mock

import numpy as np
from common import run, spread
from sweep import METHODS

from litelvlm import get_pruner, load_model, load_refer
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.sweep import rows
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.metrics import TargetPixels
from litelvlm.models.base import Request
from litelvlm.models.glamm import model as glamm
from litelvlm.models.glamm.batched.grounder import SharedGrounder
from litelvlm.models.glamm.batched.passes import LanguagePasses
from litelvlm.models.glamm.masks import masker
from litelvlm.models.glamm.masks.masker import SamMasker
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import conversation

LANGUAGE, MASKS, RESIZING, REST = "language model", "SAM's mask decoder", "masks to size", "rest"
PARTS = (
    (LANGUAGE, LanguagePasses, "begin"),
    (LANGUAGE, LanguagePasses, "seg_states"),
    (LANGUAGE, glamm, "read_given_answers"),
    (MASKS, SamMasker, "low_resolution"),
    (RESIZING, masker, "upscale"),
    ("choosing tokens, CLIP's text tower included", SweepContext, "passes"),
    ("choosing tokens, CLIP's text tower included", Glamm, "cues"),
    ("CLIP and SAM on the image", Glamm, "encode_image"),
    ("counting pixels, building rows", TargetPixels, "counted"),
    ("counting pixels, building rows", rows, "count_masks"),
)
"""Functions by the part that they belong to, and where they are looked up."""
BUDGETS, SELECTIONS = (48, 32, 16, 8), 11


@contextmanager
def parts_timed() -> Iterator[Counter[str]]:
    """Processor seconds of each part of what runs inside the "with"."""
    spent, waiting = Counter[str](), list[str]()
    last = process_time()

    def switch() -> None:
        nonlocal last
        now = process_time()
        spent[waiting[-1] if waiting else REST] += now - last
        last = now

    def timed(part: str, function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def call(*arguments: object, **options: object) -> object:
            switch()
            waiting.append(part)
            try:
                return function(*arguments, **options)
            finally:
                switch()
                waiting.pop()

        return call

    with ExitStack() as patched:
        for part, place, name in PARTS:
            patched.enter_context(mock.patch.object(place, name, timed(part, getattr(place, name))))
        yield spent
        switch()


def shares(context: SweepContext, index: int) -> dict[str, float]:
    """Share of each part of the sweep's work on one image."""
    loaded = rows.load(context, index)
    with parts_timed() as spent:
        rows.image_rows(context, loaded)
    return {part: seconds / spent.total() for part, seconds in spent.items()}


def gains(model: Glamm, index: int) -> dict[str, float]:
    """How many times less each part takes when passes share than when each runs by itself."""
    sample = load_refer("embedded", split="val")[index]
    state, requests = model.encode_image(sample.image()), list[Request]()
    for expression in sample.expressions[:3]:
        asked = conversation([expression.sent])
        cues = model.cues(state, asked, key=int(sample.image_id))
        chosen = [
            get_pruner("random", seed=seed).select(cues, BUDGETS[seed % len(BUDGETS)])
            for seed in range(SELECTIONS)
        ]
        requests += [Request(asked, selection) for selection in chosen]
    with parts_timed() as shared:
        list(SharedGrounder(model)(state, requests))
    with parts_timed() as plain:
        for request in requests:
            model.ground([state], [request.conversation], [request.selection])
    found = {part: plain[part] / shared[part] for part in (LANGUAGE, MASKS)}
    return {"all": plain.total() / shared.total()} | found


def medians(found: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median and quartiles of each number over the rounds."""
    return {name: spread([each.get(name, 0.0) for each in found]) for name in found[0]}


def measure(rounds: int = 9) -> dict[str, Any]:
    """Time both, round by round; the first round warms up and does not count."""
    model, data = load_model("embedded"), load_refer("embedded", split="val")
    sizes = [len(data[index].expressions) for index in range(16)]
    index = int(np.argmax(sizes))
    methods = tuple(Method.parse(name) for name in METHODS)
    context = SweepContext(model, data, Config(methods=methods, budgets=BUDGETS), BUDGETS)
    found = [(shares(context, index), gains(model, index)) for _ in range(rounds + 1)][1:]
    return {
        "expressions": sizes[index],
        "cells": len(context.cells(model.n_tokens)),
        "share_of_a_shared_sweep": medians([share for share, _ in found]),
        "requests": 3 * SELECTIONS,
        "times_less_than_one_by_one": medians([gain for _, gain in found]),
    }


if __name__ == "__main__":
    run(measure)
