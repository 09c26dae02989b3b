"""Tables that no command reproduces: why, what works instead, and what is published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from litelvlm.analysis.studies.published_video import VIDEO_SOURCE, video


@dataclass(frozen=True)
class AbsentTable:
    """One table that is not run.

    Attributes:
        title: What it shows.
        reason: Why it is not run.
        instead: What to do.
        source: Where its numbers are published.
        numbers: The published numbers.
    """

    title: str
    reason: str
    instead: str
    source: str
    numbers: Callable[[], pd.DataFrame]


ABSENT: Mapping[str, AbsentTable] = MappingProxyType(
    {
        "video": AbsentTable(
            "Referring video segmentation: J, F and J&F in percent",
            "it needs VideoGLaMM's weights and a model family for them, a reader of Ref-DAVIS-17 "
            "and Refer-YouTube-VOS, and the scores J and F; this suite has none of these",
            "litelvlm reproduce video --plan shows the published numbers",
            VIDEO_SOURCE,
            video,
        ),
    }
)
"""The tables by name."""


def absent_text(name: str) -> str:
    """What ``--plan`` says of such a table.

    Args:
        name: One of ``ABSENT``.
    """
    table = ABSENT[name]
    lines = [f"Table {name}: {table.title}", "", f"Not run: {table.reason}.", ""]
    numbers = table.numbers().to_string(index=False)
    return "\n".join([*lines, f"Published ({table.source}):", numbers, ""])
