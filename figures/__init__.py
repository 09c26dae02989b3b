"""Figures: one function per figure, saved tables in, axes out."""

from figures import examples, faithfulness, importance, reversal, sink, sweep
from figures.saved import Drawing

FIGURES: dict[str, Drawing] = {
    **reversal.DRAWINGS,
    **sink.DRAWINGS,
    **importance.DRAWINGS,
    **faithfulness.DRAWINGS,
    **sweep.DRAWINGS,
    **examples.DRAWINGS,
}
"""Closed table of figures, in the order in which a report shows them."""
