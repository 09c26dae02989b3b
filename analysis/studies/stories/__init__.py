"""The finding of each study in a sentence, and its claim, for pages and commands."""

from collections.abc import Mapping
from types import MappingProxyType

from litelvlm.analysis.studies.stories import (
    ablations,
    emergence,
    faithfulness,
    importance,
    mechanism,
    quantisation,
    reversal,
    sink,
    sink_causal,
    sweep,
)
from litelvlm.analysis.studies.stories.story import Claims, Story

__all__ = ["STORIES", "Claims", "Story", "story_of"]

STORIES: Mapping[str, Story] = MappingProxyType(
    {
        "reversal": reversal.STORY,
        "mechanism": mechanism.STORY,
        "sink": sink.STORY,
        "sink_causal": sink_causal.STORY,
        "emergence": emergence.STORY,
        "importance": importance.STORY,
        "faithfulness": faithfulness.STORY,
        "sweep": sweep.STORY,
        "ablations": ablations.STORY,
        "quantisation": quantisation.STORY,
    }
)
"""Stories of the studies that have a sentence of their own."""


def story_of(study: str) -> Story:
    """The story of a study; without a file of its own, its first claim."""
    return STORIES.get(study, Story())
