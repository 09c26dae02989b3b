"""Where everything stands in the file of a figure, and that no title is cut off there."""

import warnings
from functools import partial
from textwrap import fill

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

EDGE = 0.03
"""What stays free left and right of a title that is wrapped, in inches."""
NO_ROOM = "constrained_layout not applied"
"""How the warning of matplotlib begins."""
ROUNDS = 4
"""How often titles are wrapped: more lines move the axes, and with them what stands at these."""


def laid_out(figure: Figure, exact: bool) -> Bbox:
    """Settle where everything stands, and what a file shows, in inches.

    Args:
        figure: What is drawn.
        exact: Whether the file is as wide as the figure. Titles, headings and labels that are wider
            are wrapped.

    Raises:
        ValueError: If there is no room for the axes, or for a word in such a width.
    """
    dpi = figure.dpi
    figure.dpi = mpl.rcParams["savefig.dpi"]  # texts are measured at the resolution of the files
    try:
        if exact:
            _wrap(figure)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=NO_ROOM)
            figure.draw_without_rendering()
        figure.set_layout_engine(None)  # with "none" each format would be drawn twice
        box = figure.get_tightbbox()
    except UserWarning as error:
        raise _no_room("the axes find", figure) from error
    finally:
        figure.dpi = dpi
    width = figure.get_figwidth()
    if exact and (box.x0 < -EDGE or box.x1 > width + EDGE):
        raise _no_room("titles, labels or names find", figure)
    padded = box.padded(mpl.rcParams["savefig.pad_inches"])
    return Bbox([[0, padded.y0], [width, padded.y1]]) if exact else padded


def _no_room(what: str, figure: Figure) -> ValueError:
    width, height = figure.get_size_inches()
    return ValueError(
        f"{what} no room in {width:g} x {height:g} inches; state a larger figure.figsize or "
        "smaller letters, or draw fewer lines from Python"
    )


def _wrap(figure: Figure) -> None:
    """Wrap the titles, headings and labels that are wider than the figure."""
    words = dict[Text, str]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NO_ROOM)  # a title may take it
        for _ in range(ROUNDS):
            figure.draw_without_rendering()
            if not _wrapped(figure, words):
                break


def _wrapped(figure: Figure, words: dict[Text, str]) -> bool:
    """Wrap the texts that lie beyond the left or right end; whether there was one.

    Args:
        figure: What is laid out.
        words: What a text said before it was wrapped first; those that are wrapped now are added.
    """
    texts = [*figure.texts]
    for ax in figure.axes:
        texts += [ax.xaxis.label, *(one for one in ax.get_children() if isinstance(one, Text))]
    wide = [text for text in texts if text.get_rotation() == 0 and not _inside(text, figure, 0.0)]
    for text in wide:
        lines = words.setdefault(text, text.get_text()).splitlines()
        for width in range(max(map(len, lines)), 0, -1):
            text.set_text("\n".join(_filled(one, width) for one in lines))
            if _inside(text, figure, EDGE):
                break
    return bool(wide)


_filled = partial(fill, break_long_words=False, break_on_hyphens=False)


def _inside(text: Text, figure: Figure, edge: float) -> bool:
    """Whether a text keeps within the width of the figure, some inches from either end."""
    box, free = text.get_window_extent(), edge * figure.dpi
    return bool(box.x0 >= free and box.x1 <= figure.bbox.width - free) or not text.get_text()
