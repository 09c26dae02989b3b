"""Stored notebooks: small pictures, widgets in their first state, a first cell that installs."""

import base64
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "notebooks"
ADDRESS = "https://github.com/someone/suite"


def tool(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def execute():
    return tool("execute")


@pytest.fixture(scope="module")
def badges():
    return tool("badges")


@pytest.fixture(scope="module")
def nbformat(badges):
    """Imported here, because it takes five seconds, which each test process would spend."""
    return badges.nbformat


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, format="png")
    return base64.b64encode(stream.getvalue()).decode()


def test_a_chart_keeps_its_sharp_lines_and_a_photograph_becomes_a_jpeg(execute):
    chart = np.full((200, 300, 3), 255)
    chart[::7, :, 1] = 90
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3))
    photograph = np.asarray(Image.fromarray(noise.astype(np.uint8)).resize((600, 400)))
    for pixels, kind in ((chart, "image/png"), (photograph, "image/jpeg")):
        found, content = execute.smaller(png(pixels))
        assert found == kind
        assert len(content) <= len(png(pixels))
        shown = Image.open(io.BytesIO(base64.b64decode(content)))
        assert shown.size == pixels.shape[1::-1]


def test_a_widget_is_stored_as_what_stands_below_its_controls(execute, nbformat):
    shown = {"output_type": "display_data", "data": {"text/plain": "a picture"}, "metadata": {}}
    states = {
        "box": {"state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_out"]}},
        "slider": {"state": {"value": 3}},
        "out": {"state": {"outputs": [shown]}},
    }
    view = nbformat.v4.new_output("display_data", {execute.WIDGET: {"model_id": "box"}})
    plain = nbformat.v4.new_output("stream", name="stdout", text="before")
    kept = execute.without_widgets([plain, view], states)
    assert [output.get("data", {}).get("text/plain") for output in kept] == [
        None,
        "a picture",
        None,
    ]
    assert "can be moved" in kept[-1].text
    assert execute.without_widgets([view], {}) == []


def test_badges_lead_to_the_notebook_and_go_without_an_address(badges, nbformat):
    cells = [nbformat.v4.new_markdown_cell("# Title\n\n**Question.** What?")]
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("1")])
    badges.prepare(notebook, "x.ipynb", ADDRESS)
    badges.prepare(notebook, "x.ipynb", ADDRESS)
    opening, install, rest = notebook.cells
    assert opening.source.count("colab.research.google.com/github/someone/suite/blob") == 1
    assert "mybinder.org/v2/gh/someone/suite/main?labpath=notebooks%2Fx.ipynb" in opening.source
    assert f'SOURCE = "{ADDRESS}"' in install.source
    assert rest.source == "1"
    badges.prepare(notebook, "x.ipynb")
    assert notebook.cells[0].source == "# Title\n\n**Question.** What?"
    assert 'SOURCE = ".."' in notebook.cells[1].source
    with pytest.raises(ValueError, match="write it as"):
        badges.prepare(notebook, "x.ipynb", "https://example.org/x")


@pytest.mark.parametrize("there", [True, False], ids=["installed", "missing"])
def test_the_first_cell_installs_only_what_is_missing(badges, monkeypatch, there):
    ran = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
    monkeypatch.setattr("subprocess.run", lambda command, check: ran.append(command))
    for source in ("..", ADDRESS):
        exec(badges.INSTALL.format(source=source), {})  # noqa: S102 - our own text
    asked = [command[-1] for command in ran]
    assert asked == ([] if there else ["..[notebook]", f"litelvlm[notebook] @ git+{ADDRESS}"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_has_the_first_cell_and_shows_its_widgets(badges, nbformat, path):
    notebook = nbformat.read(path, as_version=4)
    install = notebook.cells[1]
    assert install.metadata.get("tags") == [badges.TAG]
    prepared = nbformat.read(path, as_version=4)
    badges.prepare(prepared, path.name)
    assert [cell.source for cell in prepared.cells] == [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        if "interact(" in cell.source:
            kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
            assert kinds & {"image/png", "image/jpeg", "text/html"}
