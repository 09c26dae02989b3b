"""Rows of one image: a sweep's rows with every fine-tuned model."""

from collections.abc import Sequence
from typing import NamedTuple

from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies.sweep.passes import Loaded, SweepContext
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP
from litelvlm.analysis.studies.sweep.rows import image_rows

COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column(
        "tuned_with",
        str,
        "Method of the fine-tuning; 'none' is every token, 'untuned' is no fine-tuning.",
        CONDITION,
    ),
    Column("training", int, "Seed of the fine-tuning; -1 without one.", CONDITION),
)


class TunedContext(NamedTuple):
    """A model with what its sweep shares.

    Attributes:
        tuned_with: As in rows.
        training: Likewise.
        context: Of the sweep.
    """

    tuned_with: str
    training: int
    context: SweepContext


def tuned_rows(contexts: Sequence[TunedContext], loaded: Loaded) -> ItemResult:
    """Rows of one image: every model under every method, budget and draw.

    Args:
        contexts: The model before first. The towers are the same, so the image is encoded once.
        loaded: The image as read from disk.
    """
    if not loaded.sample.expressions:
        return ItemResult([], loaded.skipped)
    state = contexts[0].context.model.encode_clip(loaded.clip)
    rows, notes = list[Row](), list[str]()
    for tuned_with, training, context in contexts:
        made = image_rows(context, loaded, state)
        notes += [f"{tuned_with} {training}: {note}" for note in made.notes]
        own = {"tuned_with": tuned_with, "training": training}
        rows += [dict(row) | own for row in made.rows]
    return ItemResult(rows, loaded.skipped, tuple(notes))
