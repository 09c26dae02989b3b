"""What pruning saves: operations, time by component, and memory, measured in one run with the unpruned model.

Every arm - a method at a budget - runs once per round, arms in a new random order each round, so
that a machine that grows slow hurts all alike; medians are compared, and intervals come from
resampling rounds. All arms use one attention kernel, batch 1, no gradient, and nothing empties a
cache in between. The arm that keeps all tokens through the paper's
method stands for the null: it must equal the unpruned one.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
from pydantic import Field, model_validator

from litelvlm.analysis.runs import provenance
from litelvlm.analysis.runs.config import (
    Budgets,
    Count,
    Index,
    StudyConfig,
    asked_shares,
    resolve_budgets,
)
from litelvlm.analysis.runs.folder import open_run
from litelvlm.analysis.runs.record import Counts, RunKey, Summary, Table
from litelvlm.analysis.studies.efficiency.costs import counted_macs, model_macs
from litelvlm.analysis.studies.efficiency.tables import DECODE, END, PREFILL, reading, tables_of
from litelvlm.analysis.studies.efficiency.timing import (
    WrittenBytes,
    decode_time,
    gpu_state,
    peak_memory,
    timed,
)
from litelvlm.analysis.studies.sweep.config import PAPER, AnyMethod, check_distinct
from litelvlm.analysis.studies.sweep.passes import layer_average
from litelvlm.analysis.studies.sweep.tables import UNPRUNED
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.generation import greedy
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.models.glamm.language.llama import decode
from litelvlm.models.glamm.masks.decoder import encode_image, low_resolution_masks, sam_dtype
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import Spliced
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import conversation, full_prompt
from litelvlm.pruning import LayerPruner, Pruner, Selection
from litelvlm.pruning.cues import TRUTH

QUESTION = "What do operations, time and memory come to at each token budget?"


class Config(StudyConfig):
    """Configuration of the bench.

    Attributes:
        methods: Methods to time beside the unpruned model.
        budgets: Token counts; None for the published shares. All tokens are always added for the
            paper's method.
        n_texts: Expressions per pass, all in one conversation with one selection.
        rounds: Timed rounds, at least 2, for one alone has no interval.
        warm_up: Rounds before them.
        decoded: Answer tokens behind the first one that the language model generates to time one of
            them.
        prefill_only: Time the prefill of the language model alone, on random states: what a CPU can
            do at full size.
    """

    methods: tuple[AnyMethod, ...] = (PAPER, "vispruner", "fastv")  # type: ignore[assignment]
    budgets: Budgets | None = None
    n_texts: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    rounds: int = Field(default=20, ge=2)
    warm_up: Index = 3
    decoded: Count = 8
    prefill_only: bool = False

    model_config = StudyConfig.model_config | {"validate_default": True}

    @model_validator(mode="after")
    def _can_be_timed(self) -> "Config":
        check_distinct(self.methods)
        if len(set(self.n_texts)) < len(self.n_texts):
            raise ValueError(
                f"n_texts holds a number twice: {', '.join(map(str, self.n_texts))}; name each once"
            )
        oracles = [method.label for method in self.methods if method.pruner().needs & TRUTH]
        if oracles:
            raise ValueError(
                f"methods that read the true mask cannot be timed: {', '.join(oracles)}; leave them out"
            )
        return self


@dataclass(frozen=True)
class Arm:
    """What is timed: a method at a budget, None for the unpruned model."""

    method: str
    pruner: Pruner | None
    budget: int
    n_text: int


def run(
    model: Glamm, data: Any, config: Config, out: str | Path, scores: pd.DataFrame | None = None
) -> Path:
    """Measure, and write rows and tables.

    Args:
        model: A ``Glamm`` of any size, weights trained or random.
        data: Its first image and expressions are the input.
        config: Of the bench.
        out: Folder of all runs. A finished measurement of the same configuration is left as it is.
        scores: A sweep's table "scores" of the same model, to be kept beside the times.

    Returns:
        The run folder.

    Raises:
        ValueError: If the first image has fewer expressions than one pass is to hold.
    """
    budgets = resolve_budgets(config.budgets, model.n_tokens)
    arms, notes = arms_of(model, config, budgets)
    n_expressions = len(data[0].expressions)
    if max(config.n_texts) > n_expressions:
        raise ValueError(
            f"n_texts asks for {max(config.n_texts)} expressions, and the first image has {n_expressions}; "
            "name smaller numbers"
        )
    shares = asked_shares(config, budgets)
    key = RunKey(
        study="efficiency",
        config=config.model_dump(mode="json") | {"budgets": list(budgets)},
        model=provenance.model_identity(model),
        data=provenance.data_identity(data),
        code=provenance.code_digest(
            [
                *provenance.SCORING_CODE,
                "litelvlm.analysis.studies.efficiency",
                "litelvlm.analysis.studies.efficiency.timing",
                "litelvlm.analysis.studies.efficiency.costs",
            ]
        ),
    )
    with open_run(out, key, 1, seeds={"seed": config.seed}) as folder:
        if folder.read_part(0) is None:
            before = gpu_state(model.device)
            rows = list(measure(model, data[0], config, arms))
            states = (("before", before), ("after", gpu_state(model.device)))
            clocks = tuple(f"GPU {when} the rounds: {state}" for when, state in states if state)
            folder.write_part(
                0,
                rows,
                Counts(expected=len(arms), done=len(arms)),
                notes=(*shares, *notes, *clocks),
            )
        folder.count()
        measured = tables_of(folder.rows())
        frames = measured | ({} if scores is None else {"scores": scores})
        tables = {name: Table.from_frame(frame) for name, frame in frames.items()}
        folder.write_summary(
            Summary(
                study="efficiency",
                key=key.digest,
                partial=False,
                counts=folder.record.counts,
                claims=(),
                reading=reading(measured),
                tables=tables,
            )
        )
    return folder.folder


def arms_of(
    model: Glamm, config: Config, budgets: Sequence[int]
) -> tuple[list[Arm], tuple[str, ...]]:
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
def measure(
    model: Glamm, sample: Any, config: Config, arms: Sequence[Arm]
) -> Iterator[dict[str, Any]]:
    """Rows: one per arm, round, component and metric; costs and memory once per arm (round -1)."""
    texts = [expression.sent for expression in sample.expressions]
    picture, order = sample.image(), random.Random(config.seed)
    prompts = {arm: Prompt.of(model, picture, texts, arm) for arm in arms}
    for number in range(-config.warm_up, config.rounds):
        for arm in order.sample(list(arms), len(arms)):
            prompt = prompts[arm]
            times = {
                (PREFILL, clock): ms
                for clock, ms in timed(partial(prefill, model, prompt), model.device).items()
            }
            if not config.prefill_only:
                times[DECODE, "wall"] = answer_time(model, prompt, config.decoded)
                times |= _whole(model, picture, texts, arm)
            if number >= 0:
                yield from (
                    _row(arm, number, part, f"{clock}_ms", value, "ms")
                    for (part, clock), value in times.items()
                )
    for arm in arms:
        yield from _costs(
            model, picture, texts, arm, partial(prefill, model, prompts[arm]), config.prefill_only
        )


def _whole(model: Glamm, picture: Any, texts: list[str], arm: Arm) -> dict[tuple[str, str], float]:
    """One call from the picture to the masks, and its stages by the model's own watch."""
    found: list[Any] = []
    budget = None if arm.pruner is None else arm.budget
    asked = texts[: arm.n_text]
    whole = timed(
        lambda: found.append(
            model.segment(picture, asked, arm.pruner, budget, protocol="conversation")
        ),
        model.device,
    )
    times = {(END, clock): ms for clock, ms in whole.items()}
    stages = {(stage, "wall"): 1e3 * s for stage, s in found[0].timings.items() if stage != PREFILL}
    return times | stages


@dataclass(frozen=True)
class Prompt:
    """A spliced sequence of random visual states, as the language model gets it from one arm.

    Attributes:
        talk: The conversation.
        plan: What drops tokens inside the language model; None if nothing does.
        spliced: Its embeddings with the visual states in place.
    """

    talk: Conversation
    plan: Selection | None
    spliced: Spliced

    @classmethod
    def of(cls, model: Glamm, picture: Any, texts: list[str], arm: Arm) -> "Prompt":
        """The prompt about the first texts; a method inside the language model gets the tokens it lets in."""
        talk, plan, n_tokens = conversation(texts[: arm.n_text]), None, arm.budget
        if isinstance(arm.pruner, LayerPruner):
            cues = model.cues(model.encode_image(picture), talk)
            plan = arm.pruner.select(cues, arm.budget)
            n_tokens = len(plan)
        generator, shape = (
            torch.Generator(model.device).manual_seed(0),
            (n_tokens, model.llama.config.hidden_size),
        )
        visual = torch.randn(shape, generator=generator, device=model.device, dtype=model.dtype)
        return cls(talk, plan, model.splice([visual], [talk], [plan]))

    def dropping(self, model: Glamm) -> LayerDropping | None:
        """What drops tokens between layers, anew for each pass."""
        if self.plan is None:
            return None
        spliced = self.spliced
        return LayerDropping(
            model.llama,
            model.tokenizer,
            [self.talk],
            [self.plan],
            spliced.image_start,
            spliced.lengths,
        )


def prefill(model: Glamm, prompt: Prompt) -> None:
    """The language model alone on one prompt, in the kernel that a user gets."""
    decode(
        model.llama,
        prompt.spliced.embeds,
        prompt.spliced.position_ids,
        before_layer=prompt.dropping(model),
    )


def answer_time(model: Glamm, prompt: Prompt, n_tokens: int) -> float:
    """Milliseconds per answer token behind the first one, generated greedily with a key-value cache."""
    return decode_time(
        lambda stop: greedy(
            model.llama,
            prompt.spliced.embeds,
            prompt.spliced.position_ids,
            stop,
            n_tokens + 2,  # the last token is not asked whether to stop
            prompt.dropping(model),
        ),
        model.device,
    )


def _costs(
    model: Glamm,
    picture: Any,
    texts: list[str],
    arm: Arm,
    call: Callable[[], None],
    prefill_only: bool,
) -> Iterator[dict[str, Any]]:
    """Operations and bytes of one arm."""
    talk, n_layers = conversation(texts[: arm.n_text]), len(model.llama.model.layers)
    counts = (arm.budget,) * n_layers
    if isinstance(arm.pruner, LayerPruner):
        counts = arm.pruner.schedule(arm.budget, model.n_tokens, n_layers)
    n_other = len(model.tokenizer.encode(full_prompt(talk))) - 1
    length = int(model.tower.tokenize(list(talk.questions))[0].shape[1])
    for part, macs in model_macs(model, counts, n_other, arm.n_text, length).items():
        yield from _operations(arm, part, "analytic", macs)
    parts = {PREFILL: call} | ({} if prefill_only else _parts(model, picture, talk, arm))
    for part, macs in counted_macs(parts).items():
        yield from _operations(arm, part, "counted", macs)
    with WrittenBytes() as written:
        call()
    width, itemsize = model.llama.config.hidden_size, model.dtype.itemsize
    kept = sum(count + n_other for count in counts)
    yield _row(arm, -1, PREFILL, "activation_bytes", written.total, "B")
    yield _row(arm, -1, PREFILL, "kv_bytes", 2 * kept * width * itemsize, "B")
    yield _row(arm, -1, "model", "weight_bytes", sum(p.nbytes for p in model.parameters()), "B")
    for metric, value in peak_memory(call, model.device).items():
        yield _row(arm, -1, PREFILL, f"{metric}_bytes", value, "B")


def _parts(model: Glamm, picture: Any, talk: Any, arm: Arm) -> dict[str, Any]:
    """Components as calls, for counting."""
    crop = model.tower.pixel_values(picture)
    square, _ = sam_pixel_values(picture, model.sam_image_size)
    square = square.to(model.device, sam_dtype(model.sam))
    state = model.encode_image(picture)
    cues = model.cues(state, talk)
    cues.get("text_embeds")  # counted by itself
    seg = torch.zeros(
        1, arm.n_text, 1, model.llama.config.hidden_size, device=model.device, dtype=model.dtype
    )
    pruner, kind = arm.pruner, sam_dtype(model.sam)
    entering = (
        len(pruner.select(cues, arm.budget)) if isinstance(pruner, LayerPruner) else arm.budget
    )
    found = {
        "clip_image": lambda: model.tower.image(crop),
        "clip_text": lambda: model.tower.text(list(talk.questions)),
        "projector": lambda: model.project(state.clip.patch_tokens[0][:entering]),
        "sam_encoder": lambda: encode_image(model.sam, square),
        "mask_decoder": lambda: low_resolution_masks(
            model.sam, state.sam_embeddings, model.seg_head(seg).to(kind)
        ),
    }
    return (
        found if pruner is None else found | {"selection": lambda: pruner.select(cues, arm.budget)}
    )


def _operations(arm: Arm, part: str, how: str, macs: int) -> Iterator[dict[str, Any]]:
    """One number in both conventions: multiply-adds, and operations of which each is two."""
    yield _row(arm, -1, part, f"{how}_macs", macs, "MAC")
    yield _row(arm, -1, part, f"{how}_flops", 2 * macs, "FLOP")


def _row(
    arm: Arm, number: int, component: str, metric: str, value: float | int, unit: str
) -> dict[str, Any]:
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
