"""Run the notebooks and keep their outputs, but for widgets, which only live beside a kernel.

``python notebooks/execute.py [NOTEBOOK ...]``, all of them if none is named.
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from tqdm.auto import tqdm

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = "image/png"
COLOURS = 128
"""Colours of a stored picture: a chart loses nothing that is seen and two thirds of its bytes."""


def smaller(png: str) -> str:
    """A PNG in base64 with a palette, or as it was if that is not smaller."""
    stream = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(COLOURS).save(stream, format="png", optimize=True)
    return min(base64.b64encode(stream.getvalue()).decode(), png, key=len)


def execute(path: Path) -> None:
    """Run one notebook in its folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]
            for output in cell.outputs:
                if PICTURE in output.get("data", {}):
                    output.data[PICTURE] = smaller(output.data[PICTURE])
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for chosen in tqdm(
        [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")), unit="notebook"
    ):
        execute(chosen)
