"""The page of figures names each of them with what it is drawn from."""

import re
from pathlib import Path

import pytest

from litelvlm.figures import FIGURES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "figures.md").read_text()
ROWS = [re.split(r"\s*\|\s*", line)[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
LINES = {name.strip("`"): cells for name, *cells in ROWS}


def test_the_page_names_the_figures_of_the_registry_in_its_order():
    assert list(LINES) == list(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_line_names_the_study_its_tables_and_its_files(name):
    _, question, source = LINES[name]
    study, _, rest = source.partition(": ")
    drawing = FIGURES[name]
    assert study == drawing.study
    assert {*drawing.tables, *drawing.files} == set(re.findall(r"`([^`]+)`", rest))
    assert question.endswith("?")
