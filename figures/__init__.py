"""Figures: one function per figure, saved tables in, axes out."""

from figures import (
    ablations,
    efficiency,
    examples,
    faithfulness,
    importance,
    motivation,
    reversal,
    significance,
    sink,
    sweep,
)
from figures.saved import Drawing

FIGURES: dict[str, Drawing] = {
    **reversal.DRAWINGS,
    **sink.DRAWINGS,
    **importance.DRAWINGS,
    **faithfulness.DRAWINGS,
    **sweep.DRAWINGS,
    **ablations.DRAWINGS,
    **significance.DRAWINGS,
    **motivation.DRAWINGS,
    **examples.DRAWINGS,
    **efficiency.DRAWINGS,
}
"""Closed table of figures, in the order in which a report shows them."""
