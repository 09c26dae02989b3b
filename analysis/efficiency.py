"""What pruning saves: operations, time by component, and memory, measured in one run with the unpruned model.

Every arm - a method at a budget - runs once per round, arms in a new random order each round, so that a machine that
grows slow hurts all alike; medians are compared, and intervals come from resampling rounds. All arms use one attention
kernel, batch 1, no gradient, and nothing empties a cache in between. The arm that keeps all tokens through the paper's
method stands for the null: it must equal the unpruned one.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis import provenance
from analysis.config import Budgets, Count, Index, StudyConfig, asked_shares, resolve_budgets
from analysis.costs import counted_macs, model_macs
from analysis.efficiency_timing import WrittenBytes, median_ratio, peak_memory, timed
from analysis.published import EFFICIENCY
from analysis.record import Counts, RunKey, Summary, Table
from analysis.runs import open_run
from analysis.sweep_config import PAPER, AnyMethod
from analysis.sweep_passes import layer_average
from analysis.sweep_tables import UNPRUNED
from litelvlm.glamm.layer_pruning import LayerDropping
from litelvlm.glamm.llama import decode
from litelvlm.glamm.mask import encode_image, low_resolution_masks, sam_dtype
from litelvlm.glamm.model import Glamm
from litelvlm.glamm.preprocess import sam_pixel_values
from litelvlm.glamm.prompts import conversation
from litelvlm.pruning import LayerPruner, Pruner

QUESTION = "What do operations, time and memory come to at each token budget?"
END, PREFILL = "end_to_end", "llm"


class Config(StudyConfig):
    """Configuration of the bench.

    Attributes:
        methods: Methods to time beside the unpruned model.
        budgets: Token counts; None for the published shares. All tokens are always added for the paper's method.
        n_texts: Expressions per pass, each in one conversation with one selection.
        rounds: Timed rounds.
        warm_up: Rounds before them.
        prefill_only: Time the language model alone, on random states: what a CPU can do at full size.
    """

    methods: tuple[AnyMethod, ...] = (PAPER, "vispruner", "fastv")  # type: ignore[assignment]
    budgets: Budgets | None = None
    n_texts: tuple[Count, ...] = (1,)
    rounds: Count = 20
    warm_up: Index = 3
    prefill_only: bool = False

    model_config = StudyConfig.model_config | {"validate_default": True}


@dataclass(frozen=True)
class Arm:
    """What is timed: a method at a budget, None for the unpruned model."""

    method: str
    pruner: Pruner | None
    budget: int
    n_text: int


def run(model: Glamm, data: Any, config: Config, out: str | Path, scores: pd.DataFrame | None = None) -> Path:
    """Measure, and write rows and tables.

    Args:
        model: A ``Glamm`` of any size, weights trained or random.
        data: Its first image and expressions are the input.
        config: Of the bench.
        out: Folder of all runs. A finished measurement of the same configuration is left as it is.
        scores: A sweep's table "scores" of the same model, to be kept beside the times.

    Returns:
        The run folder.
    """
    budgets = resolve_budgets(config.budgets, model.n_tokens)
    arms, notes = arms_of(model, config, budgets)
    shares = asked_shares(config, budgets)
    key = RunKey(
        study="efficiency",
        config=config.model_dump(mode="json") | {"budgets": list(budgets)},
        model=provenance.model_identity(model),
        data=provenance.data_identity(data),
        code=provenance.code_digest([*provenance.SCORING_CODE, "analysis.efficiency", "analysis.costs"]),
    )
    with open_run(out, key, 1, seeds={"seed": config.seed}) as folder:
        if folder.read_part(0) is None:
            rows = list(measure(model, data[0], config, arms))
            folder.write_part(0, rows, Counts(expected=len(arms), done=len(arms)), notes=(*shares, *notes))
        folder.count()
        frames = tables_of(folder.rows()) | ({} if scores is None else {"scores": scores})
        tables = {name: Table.from_frame(frame) for name, frame in frames.items()}
        folder.write_summary(
            Summary(
                study="efficiency",
                key=key.digest,
                partial=False,
                counts=folder.record.counts,
                claims=(),
                reading=reading(folder.rows()),
                tables=tables,
            )
        )
    return folder.folder


def arms_of(model: Glamm, config: Config, budgets: Sequence[int]) -> tuple[list[Arm], tuple[str, ...]]:
    """What is timed, and why the rest is not."""
    arms, notes = [], []
    for n_text in config.n_texts:
        arms.append(Arm(UNPRUNED, None, model.n_tokens, n_text))
        for method in config.methods:
            whole = (model.n_tokens,) if method.label == PAPER else ()
            for budget in dict.fromkeys((*whole, *budgets)):
                pruner = method.pruner()
                try:
                    layer_average(pruner, budget, model.n_tokens, model)
                except ValueError as error:
                    notes.append(f"{method.label}@{budget} is left out: {error}")
                else:
                    arms.append(Arm(method.label, pruner, budget, n_text))
    return arms, tuple(dict.fromkeys(notes))


@torch.inference_mode()
def measure(model: Glamm, sample: Any, config: Config, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    """Rows: one per arm, round, component and metric; costs and memory once per arm (round -1)."""
    texts = [expression.sent for expression in sample.expressions]
    picture, order = sample.image(), random.Random(config.seed)
    calls = {arm: _prefill(model, picture, texts, arm) for arm in arms}
    for number in range(-config.warm_up, config.rounds):
        for arm in order.sample(list(arms), len(arms)):
            times = {(PREFILL, clock): ms for clock, ms in timed(calls[arm], model.device).items()}
            if not config.prefill_only:
                times |= _whole(model, picture, texts, arm)
            if number >= 0:
                yield from (
                    _row(arm, number, part, f"{clock}_ms", value, "ms") for (part, clock), value in times.items()
                )
    for arm in arms:
        yield from _costs(model, picture, texts, arm, calls[arm], config.prefill_only)


def _whole(model: Glamm, picture: Any, texts: list[str], arm: Arm) -> dict[tuple[str, str], float]:
    """One call from the picture to the masks, and its stages by the model's own watch."""
    found: list[Any] = []
    budget = None if arm.pruner is None else arm.budget
    asked = texts[: arm.n_text]
    whole = timed(
        lambda: found.append(model.segment(picture, asked, arm.pruner, budget, protocol="conversation")), model.device
    )
    times = {(END, clock): ms for clock, ms in whole.items()}
    stages = {(stage, "wall"): 1e3 * s for stage, s in found[0].timings.items() if stage != PREFILL}
    return times | stages


def _prefill(model: Glamm, picture: Any, texts: list[str], arm: Arm) -> Any:
    """The language model alone on a spliced sequence of random visual states, in the kernel that a user gets."""
    talk, plan, n_tokens = conversation(texts[: arm.n_text]), None, arm.budget
    if isinstance(arm.pruner, LayerPruner):
        cues = model.cues(model.encode_image(picture), talk.questions, conversation=talk)
        plan = arm.pruner.select(cues, arm.budget)
        n_tokens = len(plan)
    generator, shape = torch.Generator(model.device).manual_seed(0), (n_tokens, model.llama.config.hidden_size)
    visual = torch.randn(shape, generator=generator, device=model.device, dtype=model.dtype)
    spliced = model.splice([visual], [talk], [plan])
    if plan is None:
        return lambda: decode(model.llama, spliced.embeds, spliced.position_ids)

    def call() -> None:
        dropping = LayerDropping(model.llama, model.tokenizer, [talk], [plan], spliced.image_start, spliced.lengths)
        decode(model.llama, spliced.embeds, spliced.position_ids, before_layer=dropping)

    return call


def _costs(
    model: Glamm, picture: Any, texts: list[str], arm: Arm, prefill: Any, prefill_only: bool
) -> Iterator[dict[str, Any]]:
    """Operations and bytes of one arm."""
    talk, n_layers = conversation(texts[: arm.n_text]), len(model.llama.model.layers)
    counts = (arm.budget,) * n_layers
    if isinstance(arm.pruner, LayerPruner):
        counts = arm.pruner.schedule(arm.budget, model.n_tokens, n_layers)
    n_other = len(model.tokenizer.encode(talk.prompt)) - 1
    length = int(model.tower.tokenize(list(talk.questions))[0].shape[1])
    for part, macs in model_macs(model, counts, n_other, arm.n_text, length).items():
        yield _row(arm, -1, part, "analytic_macs", macs, "MAC")
    parts = {PREFILL: prefill} | ({} if prefill_only else _parts(model, picture, talk, arm))
    for part, macs in counted_macs(parts).items():
        yield _row(arm, -1, part, "counted_macs", macs, "MAC")
    with WrittenBytes() as written:
        prefill()
    width, itemsize = model.llama.config.hidden_size, model.dtype.itemsize
    kept = sum(count + n_other for count in counts)
    yield _row(arm, -1, PREFILL, "activation_bytes", written.total, "B")
    yield _row(arm, -1, PREFILL, "kv_bytes", 2 * kept * width * itemsize, "B")
    yield _row(arm, -1, "model", "weight_bytes", sum(p.nbytes for p in model.parameters()), "B")
    for metric, value in peak_memory(prefill, model.device).items():
        yield _row(arm, -1, PREFILL, f"{metric}_bytes", value, "B")


def _parts(model: Glamm, picture: Any, talk: Any, arm: Arm) -> dict[str, Any]:
    """Components as calls, for counting."""
    crop = model.tower.pixel_values(picture)
    square, _ = sam_pixel_values(picture, model.sam_image_size)
    square = square.to(model.device, sam_dtype(model.sam))
    state = model.encode_image(picture)
    cues = model.cues(state, talk.questions, conversation=talk)
    cues.get("text_embeds")  # counted by itself
    seg = torch.zeros(1, arm.n_text, 1, model.llama.config.hidden_size, device=model.device, dtype=model.dtype)
    pruner, kind = arm.pruner, sam_dtype(model.sam)
    entering = len(pruner.select(cues, arm.budget)) if isinstance(pruner, LayerPruner) else arm.budget
    found = {
        "clip_image": lambda: model.tower.image(crop),
        "clip_text": lambda: model.tower.text(list(talk.questions)),
        "projector": lambda: model.project(state.clip.patch_tokens[0][:entering]),
        "sam_encoder": lambda: encode_image(model.sam, square),
        "mask_decoder": lambda: low_resolution_masks(model.sam, state.sam_embeddings, model.seg_head(seg).to(kind)),
    }
    return found if pruner is None else found | {"selection": lambda: pruner.select(cues, arm.budget)}


def _row(arm: Arm, number: int, component: str, metric: str, value: float | int, unit: str) -> dict[str, Any]:
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


def tables_of(rows: pd.DataFrame, resamples: int = 2000) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "times" (median and quartiles over rounds), "ratios" (unpruned median over the arm's, with intervals), "costs"
        (operations and bytes), "break_even" (largest budget that is faster) and "published" (the authors' rows).
    """
    by = ["method", "k", "n_text", "component", "metric"]
    taken = rows[rows["round"] >= 0]
    grouped = taken.groupby(by, sort=False)["value"]
    times = grouped.agg(value="median", q25=lambda v: v.quantile(0.25), q75=lambda v: v.quantile(0.75), n_runs="size")
    lines = []
    for (method, k, n_text, component, metric), values in taken.groupby(by, sort=False):
        same = (taken["component"] == component) & (taken["metric"] == metric) & (taken["n_text"] == n_text)
        base = taken[same & (taken["method"] == UNPRUNED)].sort_values("round")["value"].to_numpy()
        arm = values.sort_values("round")["value"].to_numpy()
        if method != UNPRUNED and len(base) == len(arm) and np.median(arm) > 0:
            ratio, low, high = median_ratio(base, arm, resamples)
            found = {"method": method, "k": k, "n_text": n_text, "component": component, "metric": metric}
            lines.append(found | {"ratio": ratio, "low": low, "high": high, "n_runs": len(arm)})
    ratios = pd.DataFrame(lines)
    return {
        "times": times.reset_index().sort_values(
            ["n_text", "method", "k"], ascending=[True, True, False], kind="stable"
        ),
        "ratios": ratios,
        "costs": rows[rows["round"] < 0].drop(columns=["round"]).reset_index(drop=True),
        "break_even": break_even(ratios),
        "published": pd.DataFrame([vars(line) for line in EFFICIENCY]),
    }


def break_even(ratios: pd.DataFrame) -> pd.DataFrame:
    """Largest budget of each method whose whole call is faster than the unpruned one beyond doubt; 0 if there is none.

    Args:
        ratios: As made by ``tables_of``; the prefill stands in where nothing else was timed.
    """
    part = END if (ratios["component"] == END).any() else PREFILL
    chosen = ratios[(ratios["component"] == part) & (ratios["metric"] == "wall_ms")]
    faster = chosen.assign(k=chosen["k"].where(chosen["low"] > 1, 0))
    return faster.groupby(["method", "n_text"], sort=False)["k"].max().reset_index().assign(component=part)


def reading(rows: pd.DataFrame) -> str:
    """What the medians say about the paper's method, and whether keeping all tokens costs nothing."""
    ratios = tables_of(rows)["ratios"]
    part = END if (ratios["component"] == END).any() else PREFILL
    ours = ratios[(ratios["method"] == PAPER) & (ratios["component"] == part) & (ratios["metric"] == "wall_ms")]
    said = [
        f"{line.ratio:.2f}x [{line.low:.2f}, {line.high:.2f}] with {line.k} tokens for {line.n_text} expression(s)"
        for line in ours.sort_values(["n_text", "k"]).itertuples()
    ]
    what = "whole call" if part == END else "prefill"
    return f"{PAPER}, {what} of the unpruned model over its own: {'; '.join(said) or 'not timed'}."
