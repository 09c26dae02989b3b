"""Rows of one clip: a sweep's rows at every prune point."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies.sweep.matching import first_of_each_object
from litelvlm.analysis.studies.sweep.passes import Loaded, SweepContext
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.layout import Layout
from litelvlm.metrics.matching import MAX_PROPOSALS
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.outputs import ClipState

PUBLISHED = "published"
COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column("point", str, "Where visual tokens are pruned, V1 to V5.", CONDITION),
    Column(
        "window",
        str,
        "Tokens that a token of the language model sees: the model's own ('published'), all "
        "('none') or a number.",
        CONDITION,
    ),
)


class Arm(NamedTuple):
    """A prune point under a window.

    Attributes:
        model: With both.
        window: As in rows.
        context: What its sweep shares.
    """

    model: VideoGlamm
    window: str
    context: SweepContext

    @property
    def columns(self) -> Row:
        """What its rows share."""
        return {"point": self.model.point.name, "window": self.window}


def load_arms(arms: Sequence[Arm], index: int, paired: bool) -> dict[Layout, Loaded]:
    """Read one clip for every layout of tokens.

    Args:
        arms: The prune points.
        index: Of the clip.
        paired: Whether its objects are paired anew.
    """
    contexts = {arm.model.clip_layout: arm.context for arm in arms}
    found = {layout: load(context, index) for layout, context in contexts.items()}
    return {
        layout: replace(one, matched=shown_first(one) if paired else ())
        for layout, one in found.items()
    }


def shown_first(loaded: Loaded) -> tuple[tuple[int, ...], ...]:
    """Places of the first expression of each object that frame 0 shows, as one group.

    None where there are more than the protocol can pair.
    """
    group = first_of_each_object(loaded.sample.expressions)
    shown = tuple(place for place in group if (loaded.masks[place, 0] == 1).any())
    return (shown,) if 0 < len(shown) <= MAX_PROPOSALS else ()


def arm_rows(arms: Sequence[Arm], loaded: Mapping[Layout, Loaded]) -> ItemResult:
    """Rows of one clip: every prune point under every method, budget and seed.

    Args:
        arms: Models of the same weights. Those that choose among the same tokens share what the
            towers make of the clip.
        loaded: The clip as read from disk, by layout of tokens.
    """
    first = next(iter(loaded.values()))
    if not first.sample.expressions:
        return ItemResult([], first.skipped)
    states, rows, notes = dict[Layout, ClipState](), list[Row](), list[str]()
    for arm in arms:
        layout = arm.model.clip_layout
        if layout not in states:
            states[layout] = arm.model.encode_clip(loaded[layout].clip)
        made = image_rows(arm.context, loaded[layout], states[layout])
        notes += [f"{arm.model.point.name}: {note}" for note in made.notes]
        rows += [dict(row) | arm.columns for row in made.rows]
    return ItemResult(rows, first.skipped, tuple(notes))
