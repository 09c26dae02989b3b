"""Figures on disk: PNG, SVG and PDF of each, byte-identical when drawn again."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from matplotlib.figure import Figure

from litelvlm.analysis.inputs.own_methods import plugin_note
from litelvlm.analysis.runs.saved import FigureFiles, SavedRun
from litelvlm.data.files import atomic_write
from litelvlm.figures import FIGURES, style
from litelvlm.figures.saved import Drawing, OldRunError, Saved
from litelvlm.names import check_name

log = logging.getLogger(__name__)
KINDS = ("png", "svg", "pdf")


def write_figures(
    name: str,
    runs: Sequence[Path],
    out: Path,
    *,
    partial: bool = False,
    styles: Sequence[str] = (),
) -> list[FigureFiles]:
    """Draw one figure, or all that the runs have tables for, into a folder.

    Args:
        name: A name of the table of figures, or "all" that the runs have tables for (there may be
            none).
        runs: Run folders, one of each study.
        out: Folder of the files ``<name>.png``, ``.svg`` and ``.pdf``.
        partial: Whether runs that are not whole may be drawn; their titles say so.
        styles: Matplotlib styles over the house style, by name or file.

    Raises:
        ValueError: If the name is unknown, no run fits it, two runs fit it, the run lacks what the
            figure is drawn from, a run is not whole, or the figure is drawn of another protocol or
            of full-size models alone.
        FileNotFoundError: If a folder holds no finished run.
    """
    check_name(name, [*FIGURES, "all"], "figure")
    by_study: dict[str, Saved] = {}
    for folder in runs:
        run = opened(folder)
        if run.summary.study in by_study:
            raise ValueError(
                f"several runs of the study {run.summary.study!r} would write the same files; "
                "draw each run into a folder of its own"
            )
        if run.summary.partial and not partial:
            raise ValueError(
                f"{run.folder} is incomplete, so its numbers are not results; "
                "add --partial to draw it anyway"
            )
        by_study[run.summary.study] = run
    if name != "all":
        figure = FIGURES[name]
        if figure.study not in by_study:
            given = ", ".join(by_study) or "none"
            raise ValueError(
                f"figure {name!r} needs a run of the study {figure.study!r}; given: {given}"
            )
        check_fits(figure, by_study[figure.study])
        return [write_figure(figure, by_study[figure.study], out, styles)]
    drawn = []
    for figure in FIGURES.values():
        if figure.study in by_study and not figure.obstacle(by_study[figure.study]):
            with suppress(OldRunError):
                drawn.append(write_figure(figure, by_study[figure.study], out, styles))
    return drawn


def draw_figure(
    name: str, run: SavedRun | str | Path, *styles: str | Path | Mapping[str, object]
) -> Figure:
    """Draw one figure of a finished run, in the style of the files.

    Args:
        name: A name of the table of figures (`litelvlm ls figures`).
        run: The run, or its folder.
        *styles: Over the house style, as ``style.styled`` takes them.

    Raises:
        ValueError: If the name or a style is unknown, or the run lacks what the figure is drawn
            from.
        FileNotFoundError: If the folder holds no finished run.
    """
    check_name(name, FIGURES, "figure")
    saved = opened(run.folder if isinstance(run, SavedRun) else Path(run))
    check_fits(FIGURES[name], saved)
    with style.styled(*styles):
        return FIGURES[name].drawn(saved).figure


def opened(folder: Path) -> Saved:
    """A finished run; a warning says which of its methods are unknown here, and so drawn in grey.

    Raises:
        FileNotFoundError: If the folder holds no finished run.
    """
    run = Saved(folder)
    if note := plugin_note(run.folder):
        log.warning("%s; until then it is drawn in grey, under the name in the rows", note)
    return run


def check_fits(figure: Drawing, run: Saved) -> None:
    """Refuse a figure that a run lacks the lines for.

    Raises:
        ValueError: If it does; the figures that can be drawn are named.
    """
    if obstacle := figure.obstacle(run):
        able = ", ".join(key for key, one in FIGURES.items() if not one.obstacle(run)) or "none"
        raise ValueError(
            f"figure {figure.name!r} cannot be drawn from {run.folder}: {obstacle}; "
            f"its figures: {able}"
        )


def write_figure(figure: Drawing, run: Saved, out: Path, styles: Sequence[str] = ()) -> FigureFiles:
    """Draw one figure of a run, with styles over the house style."""
    with style.styled(*styles):
        drawn, note = figure.drawn(run)
        style.note(drawn, note)
        files = {
            kind: atomic_write(out / f"{figure.name}.{kind}", content)
            for kind, content in style.encode(drawn, *KINDS).items()
        }
    return FigureFiles(figure.name, f"{figure.summary} {note}", files, figure.opens)
