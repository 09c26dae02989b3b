"""Whether a run's model is a miniature, and what every table and figure must then say."""

from litelvlm.analysis.runs.origin.provenance import MINIATURE
from litelvlm.analysis.runs.record import RunRecord

MINIATURE_NOTE = (
    "These results come from a miniature, a small model trained on rendered scenes. It is a model "
    "organism: it shows that the instruments work and what they find in it. It is not "
    "evidence about OpenAI's CLIP or the full-size GLaMM."
)


def is_miniature(record: RunRecord) -> bool:
    """Whether the model of a run is a miniature by its sizes.

    Raises:
        ValueError: If the record does not tell.
    """
    if "family" not in record.model:
        raise ValueError(
            f"the record of a {record.study!r} run does not name the family of its "
            "model; run its command again"
        )
    return record.model["family"] == MINIATURE
