"""Figures of the emergence study: which conditions of training create reversal and sink?"""

from litelvlm.figures.emergence import cells, courses, effects, links
from litelvlm.figures.emergence.cells import changes_from_base, draw_cells
from litelvlm.figures.emergence.courses import draw_signs, draw_trajectories
from litelvlm.figures.emergence.effects import draw_effects, draw_points
from litelvlm.figures.emergence.links import draw_gain, draw_link
from litelvlm.figures.saved import Drawing

__all__ = [
    "DRAWINGS",
    "changes_from_base",
    "draw_cells",
    "draw_effects",
    "draw_gain",
    "draw_link",
    "draw_points",
    "draw_signs",
    "draw_trajectories",
]

DRAWINGS: dict[str, Drawing] = {
    **effects.DRAWINGS,
    **cells.DRAWINGS,
    **courses.DRAWINGS,
    **links.DRAWINGS,
}
"""In the order in which a report shows them."""
