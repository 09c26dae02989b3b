"""Pictures of a reversal run: what low similarity keeps, at fixed percentiles of the index."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.samples import target_mask
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.studies.examples_file import FILE, Example, write_examples
from litelvlm.analysis.studies.overlay import TINTS, draw_overlay, kept_pixels
from litelvlm.analysis.studies.reversal.patches import embed_patches
from litelvlm.analysis.studies.reversal.rows import PRIMARY, Config
from litelvlm.analysis.studies.reversal.tables import select
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.images import open_image
from litelvlm.models.base import GroundingModel, TowerModel
from litelvlm.models.glamm.prompting.prompts import question
from litelvlm.pruning.ranking import lowest

PERCENTILES = (5, 25, 50, 75, 95)


def choose(primary: pd.DataFrame) -> dict[int, int]:
    """Expressions (``sent_id``) at fixed percentiles of the reversal index, by percentile.

    Example:
        >>> rows = pd.DataFrame({"ri": np.linspace(-1, 1, 21)}, index=range(100, 121))
        >>> choose(rows)
        {5: 101, 25: 105, 50: 110, 75: 115, 95: 119}
    """
    ordered = primary["ri"].sort_values(kind="stable")
    return {
        percentile: int(ordered.index[int(percentile / 100 * (len(ordered) - 1))])
        for percentile in PERCENTILES
    }


def save_reversal_examples(
    model: GroundingModel, data: Dataset, folder: Path, config: Config
) -> None:
    """Compute and keep overlays of what low similarity keeps; what is there already stays.

    Nothing is written if no target is visible enough.
    """
    rows = read_rows(folder)
    if rows.empty or (folder / FILE).is_file():
        return
    primary = select(rows[rows["clip_model"] == ""], *PRIMARY)
    if primary.empty:
        return
    by_id = {
        int(expression.sent_id): (sample, expression)
        for sample in (data[index] for index in range(len(data)))
        for expression in sample.expressions
    }
    budgets = resolve_budgets(config.budgets, model.grid[0] * model.grid[1])
    examples = []
    for percentile, sent_id in choose(primary).items():
        sample, expression = by_id[sent_id]
        panels = _panels(model, sample, expression, budgets, config.question_index)
        titles = [
            f"RI {primary['ri'].loc[sent_id]:.2f}",
            *(f"{budget} lowest" for budget in budgets),
        ]
        examples.append(Example(expression.sent, percentile, tuple(titles), tuple(panels)))
    write_examples(folder, "low_similarity", examples)


def _panels(
    model: TowerModel,
    sample: Sample,
    expression: Expression,
    budgets: tuple[int, ...],
    question_index: int,
) -> list[Array]:
    """The true mask, then what each budget keeps by lowest similarity."""
    picture, truth = open_image(sample.image()), target_mask(sample, expression) > 0
    patches = embed_patches(model.tower, picture, every_layer=False)
    scores = patches.scores(embed_texts(model.tower, [question(expression.sent, question_index)]))[
        0
    ]
    size = (sample.height, sample.width)
    panels = [draw_overlay(picture, truth, np.ones(size, np.float32), TINTS[2])]
    for budget in budgets:
        kept = lowest(torch.from_numpy(scores), budget).tolist()
        panels.append(draw_overlay(picture, truth, kept_pixels(kept, model.tower, *size), TINTS[2]))
    return panels
