"""The closed table of studies, and what a run's record says about how to read it."""

import re
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from litelvlm.names import check_name

if TYPE_CHECKING:
    from analysis.record import RunRecord

STUDIES = ("reversal", "mechanism", "sink", "sink_causal", "importance", "faithfulness", "sweep", "ablations")
"""Studies in the order in which all of them run; each is a module of ``analysis`` with the same public names."""

MINIATURE_NOTE = (
    "These results come from the bundled miniature, a small model trained on rendered scenes. It is a model organism: "
    "it shows that the instruments work and what they find in it. It is no evidence about OpenAI's CLIP or the "
    "full-size GLaMM."
)


def study_module(name: str) -> ModuleType:
    """Import a study.

    Raises:
        ValueError: If it is not in the table.
    """
    return import_module(f"analysis.{check_name(name, STUDIES, 'study')}")


def is_miniature(record: "RunRecord") -> bool:
    """Whether the run used the bundled miniature, which every table and figure drawn from it must say."""
    # Options and random weights are named behind it.
    return re.split(r"[ \[]", record.model["name"])[0] == "embedded"
