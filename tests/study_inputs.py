"""What studies ask about, for the tests of several studies; the homes stand here alone."""

from litelvlm.analysis.inputs.methods import PAPER, Method, every_method
from litelvlm.analysis.inputs.samples import (
    CONTROL_WORDS,
    NO_OUTLINE,
    NO_TARGET,
    NO_WORDS,
    NOT_DRAWN,
    target_mask,
    token_coverage,
)

__all__ = [
    "CONTROL_WORDS",
    "NOT_DRAWN",
    "NO_OUTLINE",
    "NO_TARGET",
    "NO_WORDS",
    "PAPER",
    "Method",
    "every_method",
    "target_mask",
    "token_coverage",
]
