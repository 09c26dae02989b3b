"""Why anyone would prune by a reversed similarity: maps beside masks, similarity inside and outside, what [EOS] reads.

Kept in ``maps/motivation.safetensors`` of a sweep's run folder, for the expressions of
``litelvlm.analysis.studies.sweep.examples`` (chosen by score and not by eye) and, for the two
distributions, the first expression with words of each of the first images.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from safetensors import safe_open
from safetensors.numpy import save

from litelvlm.analysis.inputs.labels import IN_COVERAGE, OUT_COVERAGE
from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.inputs.samples import askable, target_mask, token_coverage
from litelvlm.analysis.pages.explore_data import word_attention
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.studies.overlay import draw_overlay, kept_indices, kept_pixels, spread
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import HOW_DRAWN, chosen_samples, sweep_config
from litelvlm.data.files import atomic_write
from litelvlm.metrics import intersection_union
from litelvlm.models.glamm.prompting.prompts import conversation
from litelvlm.pruning import text_similarity

FILE = Path("maps") / "motivation.safetensors"
IMAGES = 60
"""Images whose tokens make the two distributions."""
SHOWN = 5
"""Methods drawn side by side; the first of the sweep."""


class MotivationExample(NamedTuple):
    """One expression.

    Attributes:
        text: The expression.
        picture: RGB.
        mask: True mask.
        similarity: Similarity of each pixel's token to the text, NaN outside what the tower sees.
        words: Words of the question, [SOS] first and [EOS] last; empty where the text tower has no
            such row.
        attention: Attention of [EOS] to each word, mean over layers and heads.
        methods: Labels of the methods drawn.
        ious: IoU of each method's mask.
        panels: Its overlay.
    """

    text: str
    picture: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]
    similarity: Float[np.ndarray, "height width"]
    words: tuple[str, ...]
    attention: Float[np.ndarray, "words"]
    methods: tuple[str, ...]
    ious: tuple[float, ...]
    panels: tuple[UInt8[np.ndarray, "height width 3"], ...]


class Motivation(NamedTuple):
    """What the figures of this module's file show.

    Attributes:
        motives: Expressions at fixed percentiles.
        budget: Tokens that the methods kept.
        inside: Similarities of tokens on the referent, in standard deviations from the mean of
            their image.
        outside: The same for tokens off the referent.
        n_images: Images behind both.
    """

    motives: tuple[MotivationExample, ...]
    budget: int
    inside: Float[np.ndarray, "i"]
    outside: Float[np.ndarray, "o"]
    n_images: int


@torch.inference_mode()
def save_motivation(model: Any, data: Any, run: Path) -> Path:
    """Compute and keep what the figures need; what is there already stays.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.

    Returns:
        The file.
    """
    if (run / FILE).is_file():
        return run / FILE
    config = sweep_config(run)
    methods = [method for method in config.methods if method.name != UNPRUNED][:SHOWN]
    budget = resolve_budgets(config.budgets, model.grid[0] * model.grid[1])[0]
    arrays: dict[str, np.ndarray] = {}
    lines = []
    for number, (sample, expression) in enumerate(chosen_samples(data, run)):
        motive = _motive(model, sample, expression, config, methods, budget)
        found = motive._asdict()
        arrays |= {
            f"{number}.{name}": found[name]
            for name in ("picture", "mask", "similarity", "attention")
        }
        arrays |= {f"{number}.panel.{place}": panel for place, panel in enumerate(motive.panels)}
        lines.append({name: found[name] for name in ("text", "words", "methods", "ious")})
    inside, outside, n_images = distributions(model, data, config, min(IMAGES, len(data)))
    meta = {"motives": json.dumps(lines), "budget": str(budget), "n_images": str(n_images)}
    return atomic_write(
        run / FILE, save(arrays | {"inside": inside, "outside": outside}, metadata=meta)
    )


def read_motivation(run: Path) -> Motivation:
    """What ``save_motivation`` kept.

    Raises:
        FileNotFoundError: If the run holds none.
    """
    if not (run / FILE).is_file():
        raise FileNotFoundError(f"{run} holds no {FILE}; {HOW_DRAWN}")
    with safe_open(run / FILE, framework="numpy") as file:
        meta = file.metadata()
        motives = [
            MotivationExample(
                line["text"],
                file.get_tensor(f"{number}.picture"),
                file.get_tensor(f"{number}.mask"),
                file.get_tensor(f"{number}.similarity"),
                tuple(line["words"]),
                file.get_tensor(f"{number}.attention"),
                tuple(line["methods"]),
                tuple(line["ious"]),
                tuple(
                    file.get_tensor(f"{number}.panel.{place}")
                    for place in range(len(line["methods"]))
                ),
            )
            for number, line in enumerate(json.loads(meta["motives"]))
        ]
        return Motivation(
            tuple(motives),
            int(meta["budget"]),
            file.get_tensor("inside"),
            file.get_tensor("outside"),
            int(meta["n_images"]),
        )


def distributions(
    model: Any, data: Any, config: Config, n_images: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Similarities of tokens on and off the referent, in standard deviations from the mean of their image.

    Args:
        model: The model.
        data: Its data.
        config: Of the sweep.
        n_images: How many of the first images to look at.

    Returns:
        Similarities on the referent, off it, and how many images they come from: those without an
        expression that can be asked, or with nothing of its referent to see, have none.
    """
    inside, outside = [np.zeros(0)], [np.zeros(0)]
    for index in range(n_images):
        sample, _ = askable(data[index])
        if not sample.expressions:
            continue
        expression = sample.expressions[0]
        covered = token_coverage(target_mask(sample, expression), model)
        if not (covered >= IN_COVERAGE).any():
            continue
        talk = conversation([expression.sent], config.question_index, config.answer_index)
        scores = similarities(model, model.encode_image(sample.image()), talk)
        scores = (scores - scores.mean()) / max(float(scores.std()), 1e-12)
        inside.append(scores[covered >= IN_COVERAGE])
        outside.append(scores[covered <= OUT_COVERAGE])
    return np.concatenate(inside), np.concatenate(outside), len(inside) - 1


def similarities(model: Any, state: Any, talk: Any) -> Float[np.ndarray, "n"]:
    """Similarity of every token to the question, as the paper's method ranks them."""
    return text_similarity(model.cues(state, talk))[0].float().cpu().numpy()


def _motive(
    model: Any, sample: Any, expression: Any, config: Config, methods: Sequence[Method], budget: int
) -> MotivationExample:
    picture, truth = sample.image(), target_mask(sample, expression)
    state = model.encode_image(picture)
    talk = conversation([expression.sent], config.question_index, config.answer_index)
    similarity = spread(similarities(model, state, talk), model.tower, sample.height, sample.width)
    covered = torch.from_numpy(token_coverage(truth, model)).float()
    cues = model.cues(state, talk, coverage=covered, key=int(sample.image_id))
    ious, panels = [], []
    for method in methods:
        chosen = method.pruner(0 if method.seeded else None).select(cues, budget)
        mask = model.ground([state], [talk], [chosen])[0].mask[0].cpu().numpy()
        overlap = intersection_union(mask, sample.mask(expression), config.doubled)
        kept = kept_pixels(
            kept_indices(chosen, cues.n_tokens), model.tower, sample.height, sample.width
        )
        ious.append(overlap.intersection / overlap.union if overlap.union else 1.0)
        panels.append(draw_overlay(picture, mask, kept))
    words, attention = eos_attention(model, talk)
    labels = tuple(method.label for method in methods)
    pixels = np.asarray(picture.convert("RGB"))
    return MotivationExample(
        expression.sent,
        pixels,
        truth > 0,
        similarity,
        words,
        attention,
        labels,
        tuple(ious),
        tuple(panels),
    )


def eos_attention(model: Any, talk: Any) -> tuple[tuple[str, ...], Float[np.ndarray, "words"]]:
    """Words of the question, and attention of [EOS] to each, mean over layers and heads."""
    if "text_attention" in model.tower.lacks:
        return (), np.zeros(0, dtype=np.float32)
    words, _, attention = word_attention(model.tower, talk.questions[0])
    return tuple(words), attention.mean(axis=(0, 1)).astype(np.float32)
