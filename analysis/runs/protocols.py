"""How expressions are put to a model: one closed table for records, figures and pages."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from litelvlm.names import check_name


class EvaluationProtocol(NamedTuple):
    """One way to put the expressions of an image to a model.

    Attributes:
        description: What one conversation holds; completes a sentence.
        counted: What the number of samples counts.
    """

    description: str
    counted: str = "expressions"


PROTOCOLS: Mapping[str, EvaluationProtocol] = MappingProxyType(
    {
        "single": EvaluationProtocol("one expression per conversation"),
        "conversation": EvaluationProtocol("all expressions of an image in one conversation"),
        "official": EvaluationProtocol(
            "up to three drawn expressions of an image in one conversation",
            "drawn expressions (each of several draws counts)",
        ),
    }
)
"""Protocols by the name that a run's record holds."""


def protocol_of(name: str) -> EvaluationProtocol:
    """Look up a protocol.

    Raises:
        ValueError: If the name is unknown.
    """
    return PROTOCOLS[check_name(name, PROTOCOLS, "protocol")]
