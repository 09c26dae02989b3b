"""Figures of the study of clips."""

from litelvlm.figures.video import tokens

DRAWINGS = tokens.DRAWINGS
"""In the order in which a report shows them."""
