"""One style for every figure: names, colours, markers, notes, files with reproducible bytes."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from types import MappingProxyType
from typing import NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import use as use_style
from matplotlib.text import Text

from litelvlm.figures.looks.layout import laid_out
from litelvlm.figures.looks.words import PRESETS, in_words, title_of
from litelvlm.names import check_name, printable
from litelvlm.pruning.registry import FAITHFUL, Spelled, list_pruners, spelled

INK, MUTED, GRID = "#1b1b1b", "#666666", "#e4e4e4"
PAGE = 7.2
"""Width of a paper's page in inches: letters of a figure that wide keep their size in print."""
OWN_SIZE = (5.6, 3.6)
"""figure.figsize of the house style, in inches: each figure takes a size of its own."""

# Okabe and Ito's colours for what stands in most figures, Tol's muted scheme and darker shades for
# the rest. A marker of its own tells two methods of similar colour apart.
_STYLES: Mapping[str, tuple[str, str]] = {
    "none": (INK, ""),
    "litelvlm": ("#D55E00", "o"),
    "low_similarity": ("#E69F00", "v"),
    "high_similarity": ("#0072B2", "^"),
    "random": ("#8C8C8C", "x"),
    "uniform": ("#56B4E9", "s"),
    "mask_oracle": ("#009E73", "P"),
    "box_oracle": ("#58D68D", "d"),
    "inverse_mask_oracle": ("#CC79A7", "X"),
    "llm_attention": ("#196F3D", "v"),
    "llm_gradient": ("#148F77", "^"),
    "block_loo": ("#7DCEA0", "s"),
    "trim": ("#332288", "<"),
    "cdpruner": ("#882255", ">"),
    "divprune": ("#117733", "D"),
    "scope": ("#999933", "d"),
    "fastervlm": ("#88CCEE", "h"),
    "vispruner": ("#AA4499", "*"),
    "visionzip": ("#44AA99", "p"),
    "prumerge_plus": ("#DDCC77", "H"),
    "tome": ("#A04000", "h"),
    "nuwa": ("#1D8348", "p"),
    "altp_like": ("#6C3483", "D"),
    "holov": ("#CC6677", "8"),
    "evtp_iv_like": ("#661100", "o"),
    "fastv": ("#C0392B", "1"),
    "pyramiddrop": ("#7D6608", "^"),
    "dart": ("#1A5276", "v"),
    "sparsevlm": ("#B03A2E", "s"),
    "sparsevlm_plus": ("#6E2C00", "P"),
    "lvlm_csp_like": ("#784212", "d"),
    "ivc_prune": ("#B9770E", "h"),
    "avgpool": ("#6699CC", "+"),
    "bilinear": ("#AA4466", "2"),
    "value_norm": ("#4477AA", "3"),
    "cls_cosine": ("#777733", "4"),
    "centre_distance": ("#BBBBBB", "|"),
    "with_uniform": ("#B9770E", ">"),
    "ivc_add_on": ("#CA6F1E", "p"),
    "ivc_layer_add_on": ("#CA6F1E", "H"),
    "restore": ("#7F8C8D", "D"),
    "reverse": ("#555555", "_"),
    "layer_reverse": ("#7B7D7D", "_"),
}
# For methods that are not in the table above, by their place in the table of methods. They make 25
# different pairs.
_MORE_COLOURS = ("#004488", "#BB5566", "#DDAA33", "#225522", "#663333")
_MORE_MARKERS = ("X", "s", "o", "D", "^")
# For further variants of a method that are drawn together.
_VARIANT_MARKERS = ("s", "^", "D", "v", "P", "<", "X", ">", "p", "*", "o")
_VARIANT_LINES = ("--", "-.")

_SETTINGS = mpl.RcParams(
    {
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "figure.figsize": OWN_SIZE,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "grid.color": GRID,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "pdf.fonttype": 42,
        "savefig.dpi": 160,
        "svg.fonttype": "path",
        "svg.hashsalt": "litelvlm",
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
    }
)
_METADATA: Mapping[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


_OWN = dict[str, Mapping[str, str]]()
"""How methods are drawn inside of ``drawn_as``."""


def label(method: str) -> str:
    """The name of a method as readers know it, with what its preset and its fields do, in words.

    Example:
        >>> label("litelvlm:paper(context_share=0.5, order=raster)")
        "LiteLVLM, the paper's own rule, half context, in raster order"
    """
    if "label" in (own := _OWN.get(method, {})):
        return own["label"]
    name, preset, fields = _spelled(method)
    title = title_of(name)
    if "of" in fields:
        title += f" ({title_of(str(fields.pop('of')))})"
    words = "" if preset == FAITHFUL else PRESETS.get((name, preset), preset.replace("_", " "))
    parts = title, words, *(in_words(field, value) for field, value in fields.items())
    return ", ".join(filter(None, parts))


def _spelled(method: str) -> Spelled:
    """Name, preset and fields of a label; one of another form is a name."""
    try:
        return spelled(method)
    except ValueError:
        return Spelled(method, FAITHFUL, {})


def colour(method: str) -> str:
    """The colour of a method, the same in every figure; grey for unknown methods."""
    return _OWN.get(method, {}).get("colour", _style_of(method)[0])


def mark(method: str) -> str:
    """The marker of a method, so that colour is never the only difference."""
    return _OWN.get(method, {}).get("marker", _style_of(method)[1])


def line(method: str) -> str:
    """The line style of a method: solid, or dashed with a preset or fields of its own."""
    return _OWN.get(method, {}).get("linestyle", "--" if is_variant(method) else "-")


def is_variant(method: str) -> bool:
    """Whether a label has a preset or fields of its own."""
    return _spelled(method).name != method


class Look(NamedTuple):
    """How a line is drawn: colour, marker and line style as in matplotlib, name in the legend."""

    colour: str
    marker: str
    linestyle: str
    label: str


def look(method: str, name: str = "", linestyle: str = "") -> Look:
    """How the lines of a method are drawn.

    Args:
        method: Its label.
        name: What the legend calls it, if not by its own name.
        linestyle: Of this line, if not the method's own. One that the user states goes before it,
            but "none", where no line may join the points.
    """
    house = Look(colour(method), mark(method), linestyle or line(method), label(method))
    return over(method, house)._replace(label=name or label(method))


def over(method: str, house: Look) -> Look:
    """A look with what the user states of the method over it."""
    own = _OWN.get(method, {})
    return house._replace(**{**own, **({"linestyle": "none"} if house.linestyle == "none" else {})})


def looks(
    methods: Iterable[str], linestyles: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Look]:
    """How methods that are drawn together look, by label.

    Of several variants of one method the first looks as it does alone. Each further one has a
    marker and a dash by its place among them.

    Args:
        methods: Their labels, in the order drawn.
        linestyles: Of some of them, as ``look`` takes them.
    """
    drawn = list(dict.fromkeys(methods))
    found = {method: look(method, linestyle=linestyles.get(method, "")) for method in drawn}
    places = Counter[str]()
    for method in filter(is_variant, drawn):
        name, style = _spelled(method).name, linestyles.get(method, "")
        # Without lines the marker alone tells the first variant from its method.
        place = places[name] + (style == "none" and name in drawn)
        places[name] += 1
        if place:
            others = [one for one in _VARIANT_MARKERS if one != mark(name)]
            marker = others[(place - 1) % len(others)]
            dash = style or _VARIANT_LINES[place % len(_VARIANT_LINES)]
            found[method] = over(method, found[method]._replace(marker=marker, linestyle=dash))
    return found


def rank(method: str) -> int:
    """Place of a method in legends: the paper's method first, then controls, then others."""
    order = list(dict.fromkeys((*_STYLES, *list_pruners())))
    return order.index(name) if (name := _spelled(method).name) in order else len(order)


def _style_of(method: str) -> tuple[str, str]:
    """Colour and marker; grey for what is not in the table of methods."""
    name = _spelled(method).name
    if name in _STYLES:
        return _STYLES[name]
    others = [other for other in list_pruners() if other not in _STYLES]
    if name not in others:
        return MUTED, "."
    place, kinds = others.index(name), len(_MORE_COLOURS)
    return _MORE_COLOURS[place % kinds], _MORE_MARKERS[(place + place // kinds) % kinds]


def note(figure: Figure, text: str) -> None:
    """Write n and the kind of interval under a figure."""
    width = int(figure.get_size_inches()[0] * 15)
    figure.text(0.01, -0.02, fill(text, width), fontsize=7.5, color=MUTED, va="top")


@contextmanager
def styled(*styles: str | Path | Mapping[str, object]) -> Iterator[None]:
    """Draw with the house style; the caller's settings are put back afterwards.

    Args:
        *styles: What goes over it, as ``matplotlib.style.use`` takes it: a style file, the name of
            a style, or settings. Their figure.figsize is the size of every figure.

    Raises:
        ValueError: If there is no such style.
    """
    with mpl.rc_context():
        sns.set_theme(context="paper", style="ticks", font="DejaVu Sans")
        mpl.rcParams.update(_SETTINGS)
        for one in styles:
            try:
                use_style(dict(one) if isinstance(one, Mapping) else one)
            except OSError as error:
                raise ValueError(
                    f"there is no style {str(one)!r}; give a file of matplotlib settings "
                    "(column.mplstyle), or the name of a style that matplotlib has"
                ) from error
        yield


@contextmanager
def drawn_as(own: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Draw methods in one's own way; the house's way comes back afterwards.

    Args:
        own: By the method's label as in the rows: what differs of "colour", "marker", "linestyle"
            and "label", the name that readers see.

    Raises:
        ValueError: If something else is named.
    """
    for name, what in ((name, what) for name, given in own.items() for what in given):
        check_name(what, Look._fields, f"look of {name!r}:")
    before = dict(_OWN)
    _OWN.update(own)
    try:
        yield
    finally:
        _OWN.clear()
        _OWN.update(before)


def size(width: float, height: float) -> tuple[float, float]:
    """Size of a figure in inches: that of the style where one states it, else the given one."""
    stated = tuple(mpl.rcParams["figure.figsize"])
    return stated if _inside() and stated != OWN_SIZE else (width, height)


def _inside() -> bool:
    """Whether the house style holds now."""
    return bool(mpl.rcParams["svg.hashsalt"] == _SETTINGS["svg.hashsalt"])


def new_figure(width: float = 5.6, height: float = 3.6) -> tuple[Figure, Axes]:
    """A figure with one axes, outside pyplot, so that nothing stays open. Sizes in inches."""
    figure, (ax,) = new_panels(1, width, height)
    return figure, ax


def new_panels(
    n: int, width: float, height: float, *, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with several axes side by side, which may share axes. Sizes in inches, of all."""
    figure = Figure(figsize=size(width, height), layout="constrained")
    panels = figure.subplots(1, n, sharex=sharex, sharey=sharey, squeeze=False)
    return figure, panels[0].tolist()


def heading(figure: Figure, text: str) -> None:
    """Write the title of a figure with several panels above them, at the left."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=mpl.rcParams["axes.titlesize"])


def encode(figure: Figure, *kinds: str) -> dict[str, bytes]:
    """Encode a figure as PNG, SVG or PDF bytes, without dates or versions.

    All is laid out once, so that all formats show the same picture.

    Raises:
        ValueError: If a kind is another, or there is no room for the axes or their titles.
    """
    if unknown := sorted(set(kinds) - set(_METADATA)):
        raise ValueError(f"unknown figure format {unknown[0]!r}. Allowed: {', '.join(_METADATA)}")
    for text in figure.findobj(Text):  # SVG is XML, which holds no control characters
        text.set_text(printable(text.get_text()))
    found = dict[str, bytes]()
    with mpl.rc_context(
        {**({} if _inside() else _SETTINGS), "figure.constrained_layout.use": False}
    ):
        frame = laid_out(figure, exact=size(*OWN_SIZE) != OWN_SIZE)  # as wide as a style states
        for kind in kinds:
            buffer = io.BytesIO()
            figure.savefig(
                buffer, format=kind, metadata=_METADATA[kind], facecolor="white", bbox_inches=frame
            )
            found[kind] = buffer.getvalue()
    return found
