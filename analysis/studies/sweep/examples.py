"""Pictures of a sweep: overlays of a few expressions, chosen by their scores and not by eye.

The expressions stand at fixed percentiles of one method's IoU at the largest budget, so that bad
ones are shown as they occur. ``litelvlm.analysis.studies.examples_file`` keeps their overlays.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED, Method
from litelvlm.analysis.inputs.samples import target_mask, token_coverage
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.studies.examples_file import FILE, Example, write_examples
from litelvlm.analysis.studies.overlay import TINTS, draw_overlay, kept_indices, kept_pixels
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.models.base import GroundingModel

PERCENTILES = (10, 40, 70, 95)


def choose(rows: pd.DataFrame, method: str) -> dict[int, int]:
    """Expressions (``sent_id``) at fixed percentiles of a method's IoU at its largest budget.

    Example:
        >>> ious = np.linspace(0, 1, 11)
        >>> rows = pd.DataFrame({"method": "m", "budget": 8, "sent_id": range(11), "iou": ious})
        >>> choose(rows, "m")
        {10: 1, 40: 4, 70: 7, 95: 9}
    """
    ours = rows[rows["method"] == method]
    scores = (
        ours[ours["budget"] == ours["budget"].max()]
        .groupby("sent_id")["iou"]
        .mean()
        .sort_values(kind="stable")
    )
    places = [int(percentile / 100 * (len(scores) - 1)) for percentile in PERCENTILES]
    return {p: int(scores.index[place]) for p, place in zip(PERCENTILES, places, strict=True)}


@torch.inference_mode()
def save_examples(model: GroundingModel, data: Dataset, run: Path) -> Path:
    """Compute and keep the overlays of a finished sweep; what is there already stays.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.

    Returns:
        The file.
    """
    if (run / FILE).is_file():
        return run / FILE
    rows, config = read_rows(run), sweep_config(run)
    method = shown_method(config)
    examples = []
    for percentile, sent_id in choose(rows, method.label).items():
        ious = rows[rows["sent_id"] == sent_id].groupby(["method", "budget"])["iou"].mean()
        sample, expression = _find(data, sent_id)
        panels = _panels(model, sample, expression, config, method)
        titles = ["true mask"]
        for label, budget in list(panels)[1:]:
            name = "unpruned" if label == UNPRUNED else f"{budget} tokens"
            titles.append(f"{name}, IoU {ious.loc[(label, budget)]:.2f}")
        examples.append(Example(expression.sent, percentile, tuple(titles), tuple(panels.values())))
    return write_examples(run, method.label, examples)


def sweep_config(run: Path) -> Config:
    """Configuration of a sweep's run."""
    return Config.model_validate(
        yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["config"]
    )


def shown_method(config: Config) -> Method:
    """The paper's method, or the first one if it was not swept."""
    swept = [method for method in config.methods if method.name != UNPRUNED]
    return next((method for method in swept if method.label == PAPER), swept[0])


def chosen_samples(data: Dataset, run: Path) -> list[tuple[Sample, Expression]]:
    """Images and expressions of the examples, in their order."""
    chosen = choose(read_rows(run), shown_method(sweep_config(run)).label)
    return [_find(data, sent_id) for sent_id in chosen.values()]


def _find(data: Dataset, sent_id: int) -> tuple[Sample, Expression]:
    samples = (data[index] for index in range(len(data)))
    return next((s, e) for s in samples for e in s.expressions if int(e.sent_id) == sent_id)


def _panels(
    model: GroundingModel, sample: Sample, expression: Expression, config: Config, method: Method
) -> dict[tuple[str, int], Array]:
    """Overlays by method and budget: the true mask, the unpruned prediction, then every budget."""
    n_tokens = model.grid[0] * model.grid[1]
    picture, truth = sample.image(), target_mask(sample, expression)
    state = model.encode_image(picture)
    conversation = model.conversation([expression.sent], config.question_index, config.answer_index)
    covered = torch.from_numpy(token_coverage(truth, model)).float()
    image_key = int(sample.image_id)
    cues = model.cues(state, conversation, coverage=covered, key=image_key)
    pruner = method.pruner(0 if method.seeded else None)
    selections = {(UNPRUNED, n_tokens): None} | {
        (method.label, budget): pruner.select(cues, budget)
        for budget in resolve_budgets(config.budgets, n_tokens)
    }
    masks = {
        key: model.ground([state], [conversation], [selection])[0].mask[0].cpu().numpy()
        for key, selection in selections.items()
    }
    size = (sample.height, sample.width)
    drawn = {
        ("truth", n_tokens): draw_overlay(picture, truth > 0, np.ones(size, np.float32), TINTS[2])
    }
    for key, selection in selections.items():
        kept = kept_pixels(kept_indices(selection, n_tokens), model.tower, *size)
        drawn[key] = draw_overlay(picture, masks[key], kept)
    return drawn
