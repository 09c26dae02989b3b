"""Figures of the quantisation study."""

from litelvlm.figures.quantisation import interaction, memory
from litelvlm.figures.saved import Drawing

DRAWINGS: dict[str, Drawing] = {**interaction.DRAWINGS, **memory.DRAWINGS}
"""In the order in which a report shows them."""
