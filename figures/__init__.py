"""Figures: one function per figure, saved tables in, axes out."""

from figures import examples, reversal, sink, sweep
from figures.saved import Drawing

FIGURES: dict[str, Drawing] = {
    **reversal.DRAWINGS,
    **sink.DRAWINGS,
    **sweep.DRAWINGS,
    **examples.DRAWINGS,
}
"""Closed table of figures, in the order in which a report shows them."""
