"""Rows of the bench: times per round, operations and memory per arm."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from PIL import Image

from litelvlm.analysis.inputs.queries import require_glamm
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import (
    resolve_budgets,
)
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.efficiency.arms import Arm, Config, Prompt, arms_of
from litelvlm.analysis.studies.efficiency.costs import counted_macs, model_macs
from litelvlm.analysis.studies.efficiency.timing import (
    DECODE,
    END,
    PREFILL,
    WrittenBytes,
    decode_time,
    gpu_state,
    peak_memory,
    timed,
)
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.models.base import Conversation, Grounding, GroundingModel
from litelvlm.models.glamm.language.generation import greedy
from litelvlm.models.glamm.language.llama import decode
from litelvlm.models.glamm.masks.decoder import encode_image, low_resolution_masks, sam_dtype
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.pruning import LayerPruner


@torch.inference_mode()
def measure(model: Glamm, sample: Sample, config: Config, arms: Sequence[Arm]) -> Iterator[Row]:
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


def _whole(
    model: Glamm, picture: Image.Image, texts: list[str], arm: Arm
) -> dict[tuple[str, str], float]:
    """One call from the picture to the masks, and its stages by the model's own watch."""
    found: list[Grounding] = []
    budget = None if arm.pruner is None else arm.budget
    expressions = texts[: arm.n_text]
    whole = timed(
        lambda: found.append(
            model.segment(picture, expressions, arm.pruner, budget, protocol="conversation")
        ),
        model.device,
    )
    times = {(END, clock): ms for clock, ms in whole.items()}
    stages = {(stage, "wall"): 1e3 * s for stage, s in found[0].timings.items() if stage != PREFILL}
    return times | stages


def prefill(model: Glamm, prompt: Prompt) -> None:
    """The language model alone on one prompt, in the kernel that a user gets."""
    decode(
        model.llama,
        prompt.spliced.embeds,
        prompt.spliced.position_ids,
        before_layer=prompt.dropping(model),
    )


def answer_time(model: Glamm, prompt: Prompt, n_tokens: int) -> float:
    """Milliseconds per answer token behind the first one, generated greedily with a KV cache."""
    return decode_time(
        lambda stop: greedy(
            model.llama,
            prompt.spliced.embeds,
            prompt.spliced.position_ids,
            stop,
            n_tokens + 2,  # ``stop`` is not called for the last token
            prompt.dropping(model),
        ),
        model.device,
    )


def _costs(
    model: Glamm,
    picture: Image.Image,
    texts: list[str],
    arm: Arm,
    call: Callable[[], None],
    prefill_only: bool,
) -> Iterator[Row]:
    """Operations and bytes of one arm."""
    conversation, n_layers = model.conversation(texts[: arm.n_text]), len(model.llama.model.layers)
    counts = (arm.budget,) * n_layers
    if isinstance(arm.pruner, LayerPruner):
        counts = arm.pruner.schedule(arm.budget, model.n_tokens, n_layers)
    n_other = len(model.tokenizer.encode(full_prompt(conversation))) - 1
    length = int(model.tower.tokenize(list(conversation.questions))[0].shape[1])
    for part, macs in model_macs(model, counts, n_other, arm.n_text, length).items():
        yield from _operations(arm, part, "analytic", macs)
    parts = {PREFILL: call} | ({} if prefill_only else _parts(model, picture, conversation, arm))
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


def _parts(
    model: Glamm, picture: Image.Image, conversation: Conversation, arm: Arm
) -> dict[str, Callable[[], object]]:
    """Components as calls, for counting."""
    crop = model.tower.pixel_values(picture)
    square, _ = sam_pixel_values(picture, model.sam_image_size)
    square = square.to(model.device, sam_dtype(model.sam))
    state = model.encode_image(picture)
    cues = model.cues(state, conversation)
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
        "clip_text": lambda: model.tower.text(list(conversation.questions)),
        "projector": lambda: model.project(state.clip.patch_tokens[0][:entering]),
        "sam_encoder": lambda: encode_image(model.sam, square),
        "mask_decoder": lambda: low_resolution_masks(
            model.sam, state.sam_embeddings, model.seg_head(seg).to(kind)
        ),
    }
    return (
        found if pruner is None else found | {"selection": lambda: pruner.select(cues, arm.budget)}
    )


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


def prepare(model: GroundingModel, data: Dataset, config: Config) -> Work:
    """Choose the arms; all rounds on the first image are one part."""
    glamm = require_glamm(model)
    budgets = resolve_budgets(config.budgets, model.n_tokens)
    arms, excluded = arms_of(glamm, config, budgets)
    sample = data[0]
    if max(config.n_texts) > len(sample.expressions):
        raise ValueError(
            f"n_texts asks for {max(config.n_texts)} expressions, and the first image has "
            f"{len(sample.expressions)}; name smaller numbers"
        )

    def rounds() -> ItemResult:
        before = gpu_state(model.device)
        rows = list(measure(glamm, sample, config, arms))
        states = (("before", before), ("after", gpu_state(model.device)))
        clocks = tuple(f"GPU {when} the rounds: {state}" for when, state in states if state)
        return ItemResult(rows, notes=clocks)

    return Work(
        data,
        lambda index: rounds,
        sizes=[len(arms)],
        resolved={"budgets": list(budgets)},
        methods=tuple(arm.pruner for arm in arms if arm.pruner is not None),
        excluded=excluded,
    )
