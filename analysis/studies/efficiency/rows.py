"""Rows of the bench: times per round, operations and memory per arm."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.studies.efficiency.config import Config
from litelvlm.analysis.studies.efficiency.timing import (
    DECODE,
    END,
    PREFILL,
    WrittenBytes,
    counted_macs,
    decode_time,
    peak_memory,
)
from litelvlm.models.timed import TimedCall, TimedModel, timed
from litelvlm.pruning import Pruner

COLUMNS: tuple[Column, ...] = (
    Column("method", str, "Label of the pruning method.", CONDITION),
    Column("k", int, "Visual tokens that the method keeps.", CONDITION),
    Column("n_text", int, "Expressions in the conversation.", CONDITION),
    Column("round", int, "Timed round, from 0; -1 for what is measured once.", CONDITION),
    Column("component", str, "Part of the pipeline.", CONDITION),
    Column("metric", str, "What is measured.", CONDITION),
    Column("value", float, "Its value."),
    Column("unit", str, "ms, MAC, FLOP, B or tokens."),
)


@dataclass(frozen=True)
class Arm:
    """What is timed: a method at a budget, None for the unpruned model."""

    method: str
    pruner: Pruner | None
    budget: int
    n_text: int


@torch.inference_mode()
def measure(model: TimedModel, config: Config, calls: Mapping[Arm, TimedCall]) -> Iterator[Row]:
    """Rows: one per arm, round, component and metric; costs and memory once per arm (round -1)."""
    order = random.Random(config.seed)
    for number in range(-config.warm_up, config.rounds):
        for arm in order.sample(list(calls), len(calls)):
            call = calls[arm]
            times = {
                (PREFILL, clock): ms for clock, ms in timed(call.prefill, model.device).items()
            }
            if not config.prefill_only:
                answer = partial(call.decode, n_tokens=config.decoded)
                times[DECODE, "wall"] = decode_time(answer, model.device)
                times |= _whole(model, call)
            if number >= 0:
                yield from (
                    _row(arm, number, part, f"{clock}_ms", value, "ms")
                    for (part, clock), value in times.items()
                )
    for arm, call in calls.items():
        yield from _costs(model, arm, call, config.prefill_only)


def _whole(model: TimedModel, call: TimedCall) -> dict[tuple[str, str], float]:
    """One call from the picture to the result, and its stages by the model's own watch."""
    found: list[Mapping[str, float]] = []
    whole = timed(lambda: found.append(call.whole()), model.device)
    times = {(END, clock): ms for clock, ms in whole.items()}
    stages = {(stage, "wall"): 1e3 * s for stage, s in found[0].items() if stage != PREFILL}
    return times | stages


def _costs(model: TimedModel, arm: Arm, call: TimedCall, prefill_only: bool) -> Iterator[Row]:
    """Operations and bytes of one arm."""
    for part, macs in call.macs().items():
        yield from _operations(arm, part, "analytic", macs)
    parts = {PREFILL: call.prefill} | ({} if prefill_only else dict(call.parts()))
    for part, macs in counted_macs(parts).items():
        yield from _operations(arm, part, "counted", macs)
    with WrittenBytes() as written:
        call.prefill()
    counts = call.layer_counts
    yield _row(arm, -1, PREFILL, "visual_tokens", sum(counts) / len(counts), "tokens")
    kept = sum(count + call.n_other for count in counts)
    cache = 2 * kept * call.cache_width * model.dtype.itemsize
    yield _row(arm, -1, PREFILL, "activation_bytes", written.total, "B")
    yield _row(arm, -1, PREFILL, "kv_bytes", cache, "B")
    yield _row(arm, -1, "model", "weight_bytes", model.weight_bytes, "B")
    for metric, value in peak_memory(call.prefill, model.device).items():
        yield _row(arm, -1, PREFILL, f"{metric}_bytes", value, "B")


def _operations(arm: Arm, part: str, how: str, macs: int) -> Iterator[Row]:
    """One number in both conventions: multiply-adds, and operations of which each is two."""
    yield _row(arm, -1, part, f"{how}_macs", macs, "MAC")
    yield _row(arm, -1, part, f"{how}_flops", 2 * macs, "FLOP")


def _row(arm: Arm, number: int, component: str, metric: str, value: float | int, unit: str) -> Row:
    return {
        "method": arm.method,
        "k": arm.budget,
        "n_text": arm.n_text,
        "round": number,
        "component": component,
        "metric": metric,
        "value": float(value),
        "unit": unit,
    }
