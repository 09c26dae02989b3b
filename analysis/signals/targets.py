"""Which target claims, tables and figures of importance are about; imports no model."""

from collections.abc import Iterable

MAIN_TARGETS = ("soft_dice", "answer_log_prob")
"""What claims are about: of a model that gives masks, and of one that answers in words."""


def main_target(present: Iterable[str]) -> str:
    """The one of ``MAIN_TARGETS`` that is present; that of masks if none is."""
    names = set(present)
    return next((name for name in MAIN_TARGETS if name in names), MAIN_TARGETS[0])
