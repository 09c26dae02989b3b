"""The closed table of studies, and what a run's record says about how to read it."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from litelvlm.names import check_name

if TYPE_CHECKING:
    from litelvlm.analysis.runs.record import RunRecord

STUDIES = (
    "reversal",
    "mechanism",
    "sink",
    "sink_causal",
    "importance",
    "faithfulness",
    "sweep",
    "ablations",
)
"""Studies in the order in which all of them run; each is a module of ``analysis`` with the same public names."""

MINIATURE = "miniature"
"""Family of a model, as run records name it."""

MINIATURE_NOTE = (
    "These results come from a miniature, a small model trained on rendered scenes. It is a model organism: "
    "it shows that the instruments work and what they find in it. It is no evidence about OpenAI's CLIP or the "
    "full-size GLaMM."
)


def study_module(name: str) -> ModuleType:
    """Import a study.

    Raises:
        ValueError: If it is not in the table.
    """
    return import_module(f"litelvlm.analysis.{check_name(name, STUDIES, 'study')}")


def is_miniature(record: "RunRecord") -> bool:
    """Whether the run's model is a miniature by its sizes, which every table and figure drawn from it must say.

    Raises:
        ValueError: If the record does not tell.
    """
    if "family" not in record.model:
        raise ValueError(
            f"the record of a {record.study!r} run names no family of its model; run its command again"
        )
    return record.model["family"] == MINIATURE
