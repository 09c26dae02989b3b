"""Figures of the emergence study: which conditions of training create reversal and sink?"""

from litelvlm.figures.emergence import courses, factors

DRAWINGS = (*factors.DRAWINGS, *courses.DRAWINGS)
"""In the order in which a report shows them."""
