"""The finding of each study in a sentence, and its claim, for pages and commands."""

from collections.abc import Iterable, Mapping
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
from litelvlm.analysis.studies.stories.story import Claims, MethodScores, Story

__all__ = ["STORIES", "Claims", "MethodScores", "Story", "common_question", "story_of"]

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


_BOTH = "Is the ranking reversed, and does pruning by it keep the mask?"
_ANY = "What do these runs say about pruning visual tokens?"


def common_question(studies: Iterable[str]) -> str:
    """What several studies ask together."""
    subjects = {story_of(study).subject for study in studies}
    return _BOTH if {"ranking", "masks"} <= subjects else _ANY
