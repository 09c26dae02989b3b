"""Give every notebook a first cell that installs what is missing, and badges of browser services.

``python notebooks/badges.py [https://github.com/OWNER/NAME]`` edits every notebook. With the
address of the published repository each gets a badge that opens it in Colab and one for Binder;
neither needs an account of this project. Without it there are none: they would lead nowhere.
"""

import re
import sys
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent
TAG = "install"
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+)")
INSTALL = """\
# Installs the suite where it is missing, as in a browser service.
import importlib.util
import subprocess
import sys

SOURCE = "{source}"  # a checkout, or the address of the repository
if importlib.util.find_spec("litelvlm") is None:
    wanted = f"litelvlm[notebook] @ git+{{SOURCE}}" if "://" in SOURCE else f"{{SOURCE}}[notebook]"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", wanted], check=True)"""
BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{owner}/{name}/blob/main/notebooks/{file}) "
    "[![Open in Binder](https://mybinder.org/badge_logo.svg)]"
    "(https://mybinder.org/v2/gh/{owner}/{name}/main?labpath=notebooks%2F{file})"
)


def badges(address: str, file: str) -> str:
    """The line of badges for a notebook.

    Raises:
        ValueError: If the address names no repository.
    """
    found = ADDRESS.fullmatch(address.rstrip("/").removesuffix(".git"))
    if not found:
        raise ValueError(
            f"{address!r} is not the address of a repository; write it as https://github.com/OWNER/NAME"
        )
    return BADGES.format(owner=found[1], name=found[2], file=file)


def prepare(notebook: nbformat.NotebookNode, file: str, address: str = "") -> None:
    """Give a notebook its badges, below its title, and its first cell.

    Args:
        notebook: Changed in place; a second call changes nothing.
        file: Its name.
        address: Of the published repository; without one there are no badges.

    Raises:
        ValueError: If the address names no repository.
    """
    opening = notebook.cells[0]
    lines = [line for line in opening.source.splitlines() if not line.startswith("[![Open in")]
    if address:
        lines[1:1] = ["", badges(address, file)]
    opening.source = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    source = INSTALL.format(source=address or "..")
    cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", ())]
    first = nbformat.v4.new_code_cell(source, id=TAG, metadata={"tags": [TAG]})
    notebook.cells = [cells[0], first, *cells[1:]]


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        read = nbformat.read(path, as_version=4)
        prepare(read, path.name, *sys.argv[1:2])
        nbformat.write(read, path)
