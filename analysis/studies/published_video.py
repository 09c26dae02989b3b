"""Numbers of clips that the authors of LiteLVLM and of UniPixel publish, marked as published."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

_NONE = float("nan")


class PublishedScores(NamedTuple):
    """Published scores in percent; nan where none is printed."""

    j: float
    f: float
    jf: float


Published = Mapping[tuple[str, str, int], PublishedScores]
"""By data set and published method, and visual tokens of 576."""
VIDEO: Published = {
    key: PublishedScores(*scores)
    for key, scores in {
        ("ref-davis17", "unpruned", 576): (65.6, 73.3, 69.5),
        ("ref-davis17", "VisPruner", 196): (61.2, 67.4, 64.3),
        ("ref-davis17", "LiteLVLM", 196): (66.8, 71.6, 69.2),
        ("ref-davis17", "VisPruner", 81): (57.1, 63.5, 60.3),
        ("ref-davis17", "LiteLVLM", 81): (64.3, 67.8, 66.1),
        ("ref-youtube-vos", "unpruned", 576): (65.4, 68.2, 66.8),
        ("ref-youtube-vos", "VisPruner", 196): (60.6, 63.9, 62.3),
        ("ref-youtube-vos", "LiteLVLM", 196): (65.1, 67.9, 66.5),
        ("ref-youtube-vos", "VisPruner", 81): (58.1, 62.2, 60.1),
        ("ref-youtube-vos", "LiteLVLM", 81): (60.8, 67.6, 64.2),
    }.items()
}
"""VideoGLaMM with 576 visual tokens a frame.

Source: LiteLVLM's project page, static/js/evaluation-table.js of
childult-programmer/LiteLVLM.github.io at commit 563ede5d278cdd6014308dbb396874ec89acb3a6.
"""
VIDEO_SOURCE = (
    "LiteLVLM project page, table of referring video segmentation: "
    "VideoGLaMM with 576 visual tokens a frame, in percent"
)
VIDEO_CAUTION = (
    "The published numbers are the authors' own, were not measured here and come without "
    "intervals: another model and other clips. The page does not say where in the model tokens are "
    "left out."
)
VIDEO_STATEMENTS = (
    "Of clips, 99.5 % of the unpruned J&F is kept at 196 of 576 tokens and 95 % at 81.",
    "LiteLVLM is ahead of VisPruner in both.",
)
"""The paper's claims about clips in our words; the table above is behind them."""
UNIPIXEL: Published = {
    (data, "unpruned", 576): PublishedScores(_NONE, _NONE, score)
    for data, score in (
        ("ref-davis17", 74.2),
        ("mevis", 53.1),
        ("ref-youtube-vos", 70.5),
        ("revos", 62.1),
    )
}
"""UniPixel-3B with all visual tokens, from its authors' own tables. Nothing is known of the budgets
at which LiteLVLM pruned it."""


def published_frame(published: Published) -> pd.DataFrame:
    """The published numbers as a table.

    Example:
        >>> float(published_frame(VIDEO)["J&F"].max())
        69.5
    """
    rows = [(*key, *scores) for key, scores in published.items()]
    return pd.DataFrame(rows, columns=["data", "method", "tokens", "J", "F", "J&F"])
