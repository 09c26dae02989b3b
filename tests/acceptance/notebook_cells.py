"""The cells of a notebook run one after another, as Jupyter's kernel runs them.

Without a kernel of its own: all notebooks share one process, which imports the libraries once.
"""

import os
import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


class LastValue(DisplayHook):
    """Remembers in which types the values were shown that cells end with."""

    def write_format_data(self, format_dict, md_dict=None):
        """Keep the types and write nothing."""
        self.shell.value_kinds += format_dict


class Shell(InteractiveShell):
    """An interactive session that remembers the errors that widgets show instead of raising."""

    displayhook_class = LastValue
    shown_errors: list
    value_kinds: list

    def showtraceback(self, *arguments, **options):
        """Keep the error; a widget's callback ends here too."""
        self.shown_errors.append(sys.exc_info()[1])

    def enable_gui(self, gui=None):
        """Figures are drawn into the cells: there is no window to open."""


def run_cells(sources: Sequence[str], folder: str) -> list[str]:
    """Run the cells of one notebook in a folder of its own, in a namespace of its own.

    Args:
        sources: Code of each cell, in order.
        folder: Becomes the working directory.

    Returns:
        The types of everything that the cells displayed, such as "image/png".

    Raises:
        RuntimeError: A cell, or the callback of a widget, failed.
    """
    os.chdir(folder)
    os.environ.pop("MPLBACKEND", None)  # figures go into the notebook, as for a reader
    shell = Shell.instance()
    shell.reset()
    shell.shown_errors = []
    shell.enable_matplotlib("inline")
    kinds = shell.value_kinds = []
    for source in sources:
        with capture_output() as shown:
            result = shell.run_cell(source, store_history=False)
        kinds += [kind for output in shown.outputs for kind in output.data]
        error = result.error_before_exec or next(iter(shell.shown_errors), None)
        if error is not None:
            raise RuntimeError(f"{type(error).__name__}: {error}\nin the cell\n{source}")
    plt.close("all")
    return kinds
