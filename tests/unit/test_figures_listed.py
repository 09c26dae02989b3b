"""The page of figures names each of them with what it is drawn from.

Every figure that was asked for is there.
"""

import re
from pathlib import Path

import pytest

from litelvlm.figures import FIGURES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "figures.md").read_text()
ROWS = [re.split(r"\s*\|\s*", line)[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
LINES = {name.strip("`"): cells for name, *cells in ROWS}
COUNTS = {"A": 6, "B": 4, "C": 5, "D": 3, "S": 2, "E": 3}
ASKED = [f"{letter}{n}" for letter, count in COUNTS.items() for n in range(1, count + 1)]


def test_the_page_names_the_figures_of_the_registry_in_its_order():
    assert list(LINES) == list(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_line_names_the_study_its_tables_and_its_files(name):
    _, question, source, reading = LINES[name]
    study, _, rest = source.partition(": ")
    drawing = FIGURES[name]
    assert study == drawing.study
    assert {*drawing.tables, *drawing.files} == set(re.findall(r"`([^`]+)`", rest))
    assert question.endswith("?")
    assert reading.endswith(".")


def test_every_figure_that_was_asked_for_is_there_once():
    marks = [mark for cells in LINES.values() for mark in cells[0].split(", ") if mark]
    assert sorted(mark for mark in marks if mark != "P") == sorted(ASKED)


def test_every_figure_that_a_miniature_can_give_is_shown():
    drawn = [name for name, drawing in FIGURES.items() if not drawing.full_size]
    shown = re.findall(
        r"^!\[(\w+)\]\(\.\./figures/rendered/(\w+)\.png\)$", PAGE, flags=re.MULTILINE
    )
    assert shown == [(name, name) for name in drawn]
    assert {path.stem for path in (ROOT / "figures" / "rendered").glob("*.png")} == set(drawn)
