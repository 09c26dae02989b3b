"""Pictures of a sweep: successes of one method at the largest budget beside its failures.

``litelvlm.analysis.studies.examples`` has the rule by which they are chosen, and their file.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import yaml
from jaxtyping import Bool, UInt8
from PIL import Image

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED, Method
from litelvlm.analysis.inputs.samples import fewest_tokens, target_masks
from litelvlm.analysis.runs.config import counts_by_budget
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.analysis.studies.examples import (
    FILE,
    Example,
    ShownExpression,
    expression_of,
    successes_and_failures,
    write_examples,
)
from litelvlm.analysis.studies.overlay import TINTS, Colour, draw_kept
from litelvlm.analysis.studies.scores import score_of_one
from litelvlm.analysis.studies.strips import clip_animation, clip_strip
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.data.files import atomic_write
from litelvlm.models.base import Conversation, GroundingModel, ImageView, VisualState
from litelvlm.pruning import Cues, Selection

ANIMATIONS = "maps/clip-{}.webp"
"""Animations of the examples in a run folder, by their number."""
SHOWN_FRAMES = 3


class ExampleQuery(NamedTuple):
    """One expression as a sweep of protocol "single" poses it.

    Attributes:
        picture: The image.
        truth: Target mask, 0 or 1.
        state: The encoded image.
        conversation: About the expression alone.
        cues: What methods may read.
    """

    picture: Image.Image
    truth: Array
    state: VisualState
    conversation: Conversation
    cues: Cues


def query_example(
    model: GroundingModel, sample: Sample, expression: Expression, config: Config
) -> ExampleQuery:
    """Encode a clip and ask for one of its expressions; its first frame is shown."""
    masks = target_masks(sample, expression)
    state = model.encode_clip(sample.clip)
    asked = model.clip_conversation(
        [expression.sent], sample.frames, config.question_index, config.answer_index
    )
    covered = torch.from_numpy(state.view.coverage(masks)).float()
    cues = model.cues(state, asked, coverage=covered, key=sample.key)
    return ExampleQuery(sample.frame(0), masks[0], state, asked, cues)


def shown_expressions(rows: pd.DataFrame, method: str) -> list[ShownExpression]:
    """Successes and failures of a method at its largest budget."""
    return successes_and_failures(
        largest_budget_scores(rows, UNPRUNED), largest_budget_scores(rows, method)
    )


def largest_budget_scores(rows: pd.DataFrame, method: str) -> "pd.Series[float]":
    """IoU, of clips J&F, of each expression at a method's largest budget, mean over seeds."""
    ours, (column, _) = rows[rows["method"] == method], score_of_one(rows)
    by_expression = ours[ours["budget"] == ours["budget"].max()].groupby("sent_id")[column]
    found: pd.Series[float] = by_expression.mean()
    return found


@torch.inference_mode()
def save_examples(model: GroundingModel, data: Dataset, run: Path, config: Config) -> None:
    """Compute and keep the overlays of a finished sweep; what is there already stays.

    They show expressions in conversations of their own, so only rows of protocol "single" are about
    them. Of a clip they show a few frames, and an animation lies beside them (``ANIMATIONS``). A
    run without a method that pruned has none.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.
        config: Its configuration.
    """
    if config.protocol != "single" or (run / FILE).is_file():
        return
    rows = read_rows(run)
    methods = methods_with_rows(rows, config)
    if not methods:
        return
    column, label_of_score = score_of_one(rows)
    method, fewest = methods[0], fewest_tokens(model, data)
    pruner, examples = method.pruner(0 if method.seeded else None), list[Example]()
    for shown in shown_expressions(rows, method.label):
        own = rows[rows["sent_id"] == shown.sent_id]
        scores = own.groupby(["method", "budget"])[column].mean()
        sample, expression = expression_of(data, shown.sent_id)
        posed = query_example(model, sample, expression, config)
        view, titles = posed.state.view, ["true mask"]
        kept = counts_by_budget(config.budgets, view.n_tokens, fewest)
        selections = {(UNPRUNED, fewest): None} | {
            (method.label, budget): pruner.select(posed.cues, count)
            for budget, count in kept.items()
            if (method.label, budget) in scores
        }
        truth, found = target_masks(sample, expression) > 0, list[Array]()
        panels = [drawn(sample, truth, None, view, TINTS[2])]
        for (label, budget), selection in selections.items():
            asked = [posed.state], [posed.conversation], [selection]
            (result,) = model.ground(*asked, config.answer)
            found.append(result.masks[0].cpu().numpy())
            panels.append(drawn(sample, found[-1], selection, view))
            name = "unpruned" if label == UNPRUNED else f"{kept[budget]} tokens"
            no_mask = "" if result.found[0] else ", no [SEG]"
            score = f"{label_of_score} {scores.loc[(label, budget)]:.2f}"
            titles.append(f"{name}, {score}{no_mask}")
        if sample.frames > 1:  # all tokens beside the largest budget
            file = run / ANIMATIONS.format(len(examples))
            atomic_write(file, clip_animation(sample.clip, *found[:2]))
        examples.append(
            Example(expression.sent, shown.percentile, tuple(titles), tuple(panels), shown.words)
        )
    write_examples(run, method.label, examples)


def drawn(
    sample: Sample,
    masks: Bool[Array, "f h w"],
    selection: Selection | None,
    view: ImageView,
    tint: Colour = TINTS[0],
) -> UInt8[Array, "height width 3"]:
    """An image with its mask and tokens, or a few frames of a clip, side by side."""
    if sample.frames == 1:
        return draw_kept(sample.image(), masks[0], selection, view, tint)
    return clip_strip(sample.clip, masks, SHOWN_FRAMES, tint)


def sweep_config(run: Path) -> Config:
    """Configuration of a sweep's run."""
    return Config.model_validate(
        yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["config"]
    )


def methods_with_rows(rows: pd.DataFrame, config: Config) -> list[Method]:
    """Methods that pruned, the paper's first; the others in the order of the run.

    One that can keep to none of the budgets has no rows.
    """
    known = set(rows["method"]) - {UNPRUNED}
    swept = [method for method in config.methods if method.label in known]
    return sorted(swept, key=lambda method: method.label != PAPER)
