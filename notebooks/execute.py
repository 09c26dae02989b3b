"""Run the notebooks and keep their outputs, with the first state of each widget as a picture.

``python notebooks/execute.py [NOTEBOOK ...]``, all of them if none is named.
"""

import base64
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from tqdm.auto import tqdm

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGETS = "application/vnd.jupyter.widget-state+json"
PICTURE, PHOTOGRAPH = "image/png", "image/jpeg"
COLOURS = 128
"""Colours of a stored chart: it loses nothing that is seen and two thirds of its bytes."""
QUALITY = 82
"""Of a stored photograph, in JPEG's terms."""
FIRST_STATE = "First state of the controls. In a running notebook they can be moved."


def smaller(png: str) -> tuple[str, str]:
    """A PNG in base64 as the smallest of three: as it was, with a palette, or as a JPEG.

    A chart is smallest with a palette, and a photograph as a JPEG.

    Returns:
        Its type and its bytes in base64.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    chart, photograph = io.BytesIO(), io.BytesIO()
    picture.quantize(COLOURS).save(chart, format="png", optimize=True)
    picture.save(photograph, format="jpeg", quality=QUALITY, optimize=True)
    found = (
        (PICTURE, png),
        (PICTURE, base64.b64encode(chart.getvalue()).decode()),
        (PHOTOGRAPH, base64.b64encode(photograph.getvalue()).decode()),
    )
    return min(found, key=lambda each: len(each[1]))


def first_state(model: str, states: Mapping[str, Mapping]) -> list:
    """What stands below the controls of a widget at first, read off the widgets' states.

    Args:
        model: Id of the widget.
        states: Of all widgets, by id.
    """
    state = states.get(model, {}).get("state", {})
    found = [nbformat.from_dict(output) for output in state.get("outputs", ())]
    for child in state.get("children", ()):
        found += first_state(child.removeprefix("IPY_MODEL_"), states)
    return found


def without_widgets(outputs: Sequence, states: Mapping[str, Mapping]) -> list:
    """Outputs of a cell, each widget replaced by its first state."""
    kept = []
    for output in outputs:
        view = output.get("data", {}).get(WIDGET)
        if view is None:
            kept.append(output)
        elif shown := first_state(view["model_id"], states):
            note = nbformat.v4.new_output("stream", name="stdout", text=FIRST_STATE + "\n")
            kept += [*shown, note]
    return kept


def execute(path: Path) -> None:
    """Run one notebook in its folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=900,
        record_timing=False,
        store_widget_state=True,
        resources={"metadata": {"path": str(FOLDER)}},
    ).execute()
    states = notebook.metadata.pop("widgets", {}).get(WIDGETS, {}).get("state", {})
    for cell in notebook.cells:
        if "outputs" not in cell:
            continue
        cell.outputs = without_widgets(cell.outputs, states)
        for output in cell.outputs:
            if PICTURE in output.get("data", {}):
                kind, content = smaller(output.data.pop(PICTURE))
                output.data[kind] = content
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for chosen in tqdm(
        [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")), unit="notebook"
    ):
        execute(chosen)
