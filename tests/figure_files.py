"""Figures as tests draw and write them; the homes of these functions stand here alone."""

from unittest import mock

from litelvlm.figures import files, style
from litelvlm.figures.files import KINDS, draw_figure, write_figures
from litelvlm.figures.style import PAGE, new_figure

__all__ = [
    "KINDS",
    "PAGE",
    "coarse",
    "draw_figure",
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
