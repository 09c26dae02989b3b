"""Pictures of a reversal run: what low similarity keeps, at fixed percentiles of the index."""

from pathlib import Path

import pandas as pd
import torch

from litelvlm.analysis.inputs.clip_models import embed_texts
from litelvlm.analysis.inputs.samples import fewest_tokens, target_mask
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.analysis.studies.constructions import PRIMARY, select
from litelvlm.analysis.studies.examples import (
    FILE,
    Example,
    at_percentiles,
    expression_of,
    write_examples,
)
from litelvlm.analysis.studies.overlay import TINTS, draw_kept
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.patches import embed_patches
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.images import open_image
from litelvlm.models.base import StudiedModel, TowerModel
from litelvlm.pruning import Selection
from litelvlm.pruning.ranking import lowest

PERCENTILES = (5, 25, 50, 75, 95)


def save_reversal_examples(
    model: StudiedModel, data: Dataset, folder: Path, config: Config
) -> None:
    """Compute and keep overlays of what low similarity keeps; what is there already stays.

    Nothing is written if no target is visible enough, or the model has no towers of CLIP.
    """
    rows = read_rows(folder)
    if rows.empty or (folder / FILE).is_file():
        return
    if isinstance(model, TowerModel):
        _save(model, data, folder, config, rows)


def _save(
    model: TowerModel, data: Dataset, folder: Path, config: Config, rows: pd.DataFrame
) -> None:
    primary = select(rows[rows["clip_model"] == ""], PRIMARY)
    if primary.empty:
        return
    budgets = budget_counts(config.budgets, fewest_tokens(model, data))  # as the rows have them
    examples = []
    for percentile, sent_id in at_percentiles(primary["ri"], PERCENTILES).items():
        sample, expression = expression_of(data, sent_id)
        panels = _panels(model, sample, expression, budgets, config.question_index)
        titles = (f"RI {primary['ri'].loc[sent_id]:.2f}", *(f"{k} lowest" for k in budgets))
        examples.append(Example(expression.sent, percentile, titles, tuple(panels)))
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
    asked = embed_texts(model.tower, [model.question(expression.sent, question_index)])
    scores = torch.from_numpy(patches.scores(asked)[0])
    view = model.view(picture.height, picture.width)
    kept = [Selection.from_indices(lowest(scores, budget), view.n_tokens) for budget in budgets]
    return [draw_kept(picture, truth, s, view, TINTS[2]) for s in (None, *kept)]
