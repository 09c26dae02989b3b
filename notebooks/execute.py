"""Run the notebooks and keep their outputs, but for widgets, which only live beside a kernel.

``python notebooks/execute.py [NOTEBOOK ...]``, all of them if none is named.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm.auto import tqdm

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"


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
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for chosen in tqdm(
        [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")), unit="notebook"
    ):
        execute(chosen)
