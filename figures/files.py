"""Figures on disk: PNG, SVG and PDF of each, byte-identical when drawn again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.examples import HOW_DRAWN
from litelvlm.data.files import atomic_write
from litelvlm.figures import FIGURES, style
from litelvlm.figures.saved import Saved
from litelvlm.names import check_name

KINDS = ("png", "svg", "pdf")


class FigureFiles(NamedTuple):
    """One figure on disk.

    Attributes:
        name: In the table of figures.
        caption: What it shows, with n and the kind of interval.
        files: Format ("png", "svg", "pdf") to file.
        opens: Its rank among the figures that may open a report; 0 for one that does not.
    """

    name: str
    caption: str
    files: Mapping[str, Path]
    opens: int


def write_figures(
    name: str, runs: Sequence[Path], out: Path, *, partial: bool = False
) -> list[FigureFiles]:
    """Draw one figure, or all that the runs have tables for, into a folder.

    Args:
        name: A name of the table of figures, or "all" that the runs have tables for (there may be
            none).
        runs: Run folders, one of each study.
        out: Folder of the files ``<name>.png``, ``.svg`` and ``.pdf``.
        partial: Whether runs that are not whole may be drawn; their titles say so.

    Raises:
        ValueError: If the name is unknown, no run fits it, two runs fit it, the run lacks what the
            figure is drawn from, a run is not whole, or the figure is drawn of another protocol or
            of full-size models alone.
        FileNotFoundError: If a folder holds no finished run.
    """
    check_name(name, [*FIGURES, "all"], "figure")
    saved = [Saved(run) for run in runs]
    studies = [run.summary.study for run in saved]
    twice = sorted({study for study in studies if studies.count(study) > 1})
    if twice:
        raise ValueError(
            f"several runs of the study {twice[0]!r} would write the same files; "
            "draw each run into a folder of its own"
        )
    for run in saved:
        if run.summary.partial and not partial:
            raise ValueError(
                f"{run.folder} is incomplete, so its numbers are not results; "
                "add --partial to draw it anyway"
            )
    if name != "all" and FIGURES[name].study not in studies:
        given = ", ".join(studies) or "none"
        raise ValueError(
            f"figure {name!r} needs a run of the study {FIGURES[name].study!r}; given: {given}"
        )
    pairs = [
        (key, drawing, run)
        for key, drawing in FIGURES.items()
        for run in saved
        if run.summary.study == drawing.study
    ]
    if name != "all":
        for key, _, run in pairs:
            if key == name:
                check_fits(name, run)
    return [
        write_figure(key, run, out)
        for key, drawing, run in pairs
        if name in (key, "all") and drawing.fits(run)
    ]


def draw_figure(name: str, run: SavedRun | str | Path) -> Figure:
    """Draw one figure of a finished run, in the style of the files.

    Args:
        name: A name of the table of figures (`litelvlm ls figures`).
        run: The run, or its folder.

    Raises:
        ValueError: If the name is unknown, or the run lacks what the figure is drawn from.
        FileNotFoundError: If the folder holds no finished run.
    """
    check_name(name, FIGURES, "figure")
    saved = Saved(run.folder if isinstance(run, SavedRun) else run)
    check_fits(name, saved)
    with style.styled():
        return FIGURES[name].draw(saved).figure


def check_fits(name: str, run: Saved) -> None:
    """Refuse a figure that a run lacks the lines for.

    Raises:
        ValueError: If it does; the figures that can be drawn are named.
        FileNotFoundError: If it lacks the pictures, with how to get them.
    """
    if not FIGURES[name].fits(run):
        same_study = FIGURES[name].study == run.summary.study
        drawing = FIGURES[name]
        if same_study and (obstacle := drawing.obstacle(run.record) or drawing.outdated(run)):
            raise ValueError(f"figure {name!r} cannot be drawn from {run.folder}: {obstacle}")
        missing = [file for file in FIGURES[name].files if not (run.folder / file).is_file()]
        if same_study and missing:
            raise FileNotFoundError(f"{run.folder} has no {missing[0]}; {HOW_DRAWN}")
        able = ", ".join(key for key, drawing in FIGURES.items() if drawing.fits(run)) or "none"
        raise ValueError(
            f"figure {name!r} cannot be drawn from {run.folder}, a run of the study "
            f"{run.summary.study!r}; its figures: {able}"
        )


def write_figure(name: str, run: Saved, out: Path) -> FigureFiles:
    """Draw one figure of a run."""
    with style.styled():
        figure, note = FIGURES[name].draw(run)
        style.note(figure, note)
        files = {
            kind: atomic_write(out / f"{name}.{kind}", content)
            for kind, content in style.encode(figure, *KINDS).items()
        }
    drawing = FIGURES[name]
    return FigureFiles(name, f"{drawing.summary} {note}", files, drawing.opens)
