"""The design of the trainings: cells, seeds, and the effects that were settled before any training.

Stage A asks what makes a sink: text towers against a bag of objects. Stage B asks what makes a
reversal: small image towers on symbolic grids. Both are half fractions of two-level designs, in
which no main effect is mixed with an interaction of two factors. Stage C changes one factor at a
time on symbols, and stage D does so on rendered pixels; it is the longer list for a GPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Literal, get_args

from litelvlm.training.trainings.factors import Factors, Member

Level = str | int | float
StageName = Literal["A", "B", "C", "D"]
STAGES: tuple[StageName, ...] = get_args(StageName)
BLOCKS = 4
"""Seeds of each cell of a fractional stage; a seed is a block."""
SEEDS = 3
"""Seeds of a cell in the stages that compare with a base, unless ``MORE_SEEDS`` names it."""

STAGE_A: Mapping[str, tuple[Level, Level]] = MappingProxyType(
    {
        "uninformative": (0.0, 0.5),
        "filler": (0, 30),
        "rate": (1e-3, 3e-3),
        "text_depth": (4, 8),
        "loss": ("softmax", "sigmoid"),
    }
)
STAGE_B: Mapping[str, tuple[Level, Level]] = MappingProxyType(
    {
        "scope": ("scene", "object"),
        "pooling": ("cls", "mean"),
        "registers": (0, 4),
        "categories": (4, 64),
        "uninformative": (0.0, 0.5),
    }
)
FRACTIONS: Mapping[str, Mapping[str, tuple[Level, Level]]] = {"A": STAGE_A, "B": STAGE_B}
"""Factors of each fractional stage with their low and high level."""
_FRACTION_BASE = {
    "A": Factors(image="bag", width=64, steps=400),
    "B": Factors(image="grid", width=64, steps=500, rate=2e-3),
}
BASES: Mapping[str, Factors] = MappingProxyType(
    {
        "C": Factors(image="grid", width=64, steps=500, rate=2e-3),
        "D": Factors(image="pixels", width=128, steps=600),
    }
)
"""What the stages that change one factor at a time compare with."""
_CHANGED: Mapping[str, tuple[Level, ...]] = {
    "helper": (1.0, 0.3),
    "uninformative": (0.5, 0.25),
    "scope": ("object", "some", "place", "long"),
    "categories": (4, 16),
    "loss": ("sigmoid",),
    "clutter": (1, 2),
    "pooling": ("mean",),
    "registers": (4,),
    "filler": (20,),
    "questions": (1.0,),
    "text_depth": (8,),
    "image_depth": (8,),
    "weight_decay": (0.0, 0.5),
    "sharpness": (4.0,),
    "text_pooling": ("words",),
}
ALONE: Mapping[str, Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        "C": {**_CHANGED, "width": (128,), "rate": (1e-3, 4e-3), "steps": (250, 1000)},
        "D": {**_CHANGED, "width": (64,), "rate": (3e-3,), "steps": (300, 1200)},
    }
)
"""What they change, each value alone against the base; the most urgent cells come first."""
_UNLIKE_WEB_TEXT: Mapping[str, Level] = {"scope": "object", "filler": 20, "uninformative": 0.5}
TOGETHER: tuple[Mapping[str, Level], ...] = (
    {"sos_loss": 1.0},
    _UNLIKE_WEB_TEXT,
    {**_UNLIKE_WEB_TEXT, "sharpness": 4.0},
    {"helper": 0.3, "helper_from": 0.25},
)
"""Cells of the same stages that were added once the others had been seen.

The first makes a sink on purpose, to see what it does to the reversal. Two join what gave a sink in
a pilot, or in single layers. The last does as the miniature does: its weak helper joins late.
"""

CONFIRMATORY: tuple[str, ...] = (
    *(f"A.sink.{factor}" for factor in STAGE_A),
    *(f"B.reversal.{factor}" for factor in STAGE_B),
)
"""Effects whose p-values are adjusted together, as STAGE.OUTCOME.FACTOR; all else is exploratory.

"sink" is the log of the mean lift on [SOS] over layers and heads, on the suite's questions.
"reversal" is the reversal index of the true text minus that of an absent category's text, at the
layer that GLaMM reads.
"""


def fraction(factors: Mapping[str, tuple[Level, Level]]) -> list[tuple[int, ...]]:
    """Half of all combinations of two levels: the last factor is the product of the others.

    Returns:
        Rows of 0 (low) and 1 (high), one column per factor.

    Example:
        >>> fraction({"a": (0, 1), "b": (0, 1), "c": (0, 1)})
        [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
    """
    return [
        tuple((sign + 1) // 2 for sign in (*signs, prod(signs)))
        for signs in product((-1, 1), repeat=len(factors) - 1)
    ]


def cell_name(changes: Mapping[str, Level]) -> str:
    """Name of a cell from what it changes; "base" if it changes nothing."""
    return "_".join(f"{name}-{value}" for name, value in changes.items()) or "base"


def _fractional(stage: str) -> list[Member]:
    factors, base = FRACTIONS[stage], _FRACTION_BASE[stage]
    members = []
    for seed in range(BLOCKS):
        for row in fraction(factors):
            levels = {name: factors[name][at] for name, at in zip(factors, row, strict=True)}
            name = "+".join(name for name, at in zip(factors, row, strict=True) if at)
            members.append(Member(stage, name, replace(base, **levels), seed))  # type: ignore[arg-type]
    return members


CLEAR_AT_FIRST = (
    *("helper-0.3", "helper-1.0", "pooling-mean", "uninformative-0.5"),
    *("rate-0.004", "clutter-2"),
)
"""Cells of stage C whose three seeds had an interval without 0: of the difference, of the index of
the true text alone (rate), or of the log lift alone (clutter). Each gets two seeds more."""

MORE_SEEDS: Mapping[str, int] = MappingProxyType(
    {"base": 10, "sos_loss-1.0": 10, "scope-object": 10, "sharpness-4.0": 5}
    | {cell_name(changes): 5 for changes in TOGETHER[1:]}
    | dict.fromkeys(CLEAR_AT_FIRST, 5)
)
"""Cells with more seeds: the base, and those that an open question hangs on.

The first plan had five seeds of the base. Five more of it and of ``sos_loss`` were added when the
first five pairs left open what a sink does to the reversal. Captions of one object had the highest
index of all cells, and three seeds left its sign open; seven more were added to settle it.
"""

LOOKED_TWICE = ("base", "sos_loss-1.0", "scope-object", "sharpness-4.0", *CLEAR_AT_FIRST)
"""Cells whose seeds were added to after a first look at them."""


def _against_base(stage: str) -> list[Member]:
    alone = [{name: value} for name, values in ALONE[stage].items() for value in values]
    changes: list[Mapping[str, Level]] = [{}, *alone, *TOGETHER]
    return [
        Member(stage, cell_name(change), replace(BASES[stage], **change), seed)  # type: ignore[arg-type]
        for change in changes
        for seed in range(MORE_SEEDS.get(cell_name(change), SEEDS))
    ]


def members(stages: Sequence[str] = STAGES) -> list[Member]:
    """All trainings of some stages, seed after seed, so that whole blocks are finished first."""
    every = [
        member
        for stage in stages
        for member in (_fractional(stage) if stage in FRACTIONS else _against_base(stage))
    ]
    return sorted(every, key=lambda member: member.seed)
