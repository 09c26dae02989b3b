"""The notebooks run from top to bottom, and what is committed of them stays small."""

import json
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from notebook_cells import run_cells

FEWER = {
    re.compile(r"""(\b(?:limit|images)=|"(?:limit|images)": )\d+"""): "4",
    re.compile(r"""("(?:random|official)_seeds": )\d+"""): "1",
    re.compile(r"""("rounds": )\d+"""): "3",
}
"""Images, seeds and timed rounds of a study; so few run every cell that more would run."""
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def session():
    """A process of its own: what notebooks set stays there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def cells_of(path):
    """The code of each cell, with less to compute."""
    cells = json.loads(path.read_text())["cells"]
    found = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for number, few in FEWER.items():
        found = [number.sub(rf"\g<1>{few}", source) for source in found]
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, session, tmp_path):
    shown = session.submit(run_cells, cells_of(path), str(tmp_path)).result(timeout=300)
    assert "image/png" in shown


def test_a_cell_or_a_widget_that_fails_is_told(session, tmp_path):
    failing = "def f(x=2):\n    raise ValueError('no picture')\n"
    for call in ("f()", "from ipywidgets import interact\ninteract(f, x=(1, 3))"):
        with pytest.raises(RuntimeError, match="ValueError: no picture\nin the cell"):
            session.submit(run_cells, ["first = 1", failing + call], str(tmp_path)).result()
    with pytest.raises(RuntimeError, match="NameError: name 'first'"):
        session.submit(run_cells, ["first"], str(tmp_path)).result()
