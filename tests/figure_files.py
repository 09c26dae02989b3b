"""Figures as tests draw and write them; the homes of these functions stand here alone."""

from unittest import mock

import numpy as np

from litelvlm.figures import files, style
from litelvlm.figures.files import KINDS, draw_figure, write_figures
from litelvlm.figures.style import PAGE, new_figure

__all__ = [
    "KINDS",
    "PAGE",
    "coarse",
    "draw_figure",
    "drawn_numbers",
    "new_figure",
    "quick",
    "style",
    "write_figures",
]


def coarse(monkeypatch, dpi, *kinds):
    """Write figures in these formats alone, with few pixels."""
    monkeypatch.setattr(files, "KINDS", kinds)
    monkeypatch.setitem(style._SETTINGS, "savefig.dpi", dpi)


def quick():
    """Within it figures have fewer pixels; all else is as users get it."""
    return mock.patch.dict(style._SETTINGS, {"savefig.dpi": 60})


def drawn_numbers(figure):
    """Every coordinate and every value that the artists of a figure hold."""
    found = []
    for artist in figure.findobj():
        for read in ("get_xydata", "get_offsets", "get_array"):
            held = getattr(artist, read, lambda: None)()
            found += [] if held is None else [held]
        found += getattr(artist, "get_segments", list)()
    return np.concatenate(
        [np.ma.filled(np.ma.asarray(part, float), np.nan).ravel() for part in found]
    )
