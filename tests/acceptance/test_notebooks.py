"""The notebooks run from top to bottom, and what is committed of them stays small."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FEWER = re.compile(r"""(\b(?:limit|images)=|"(?:limit|images)": )\d+""")
"""Images of a study; four run every cell that more would run."""
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_the_notebooks_are_found_and_numbered():
    assert [path.name[:2] for path in NOTEBOOKS] == [
        f"{number:02d}" for number in range(1, len(NOTEBOOKS) + 1)
    ]
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures go into the notebook, as for a reader
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = FEWER.sub(r"\g<1>4", cell.source)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    figures = [
        o
        for cell in notebook.cells
        for o in cell.get("outputs", ())
        if "image/png" in o.get("data", {})
    ]
    assert figures


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_states_its_question(path):
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 300_000
    assert "widgets" not in notebook.metadata
    assert "**Question.**" in notebook.cells[0].source
    assert any(cell.source.count('MODEL = "embedded"') == 1 for cell in notebook.cells)
    assert all(
        o.get("output_type") != "error" for cell in notebook.cells for o in cell.get("outputs", ())
    )
