"""Code from outside the package: its prints, its errors, and what it may change."""

import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.layers.view import LayerView


@contextmanager
def foreign_code(what: str, file: str | None = None) -> Iterator[None]:
    """Run code that is not the suite's: prints go to stderr, and an error names the code.

    Standard output belongs to results, which ``--json`` promises to be JSON. ``sys.exit`` counts as
    an error, because the rest of the command would silently not run.

    Args:
        what: The code, for the message: "method 'mine'".
        file: Its file, whose innermost line in the traceback is named; None for none.

    Raises:
        ValueError: In place of any error but an interrupt and too little memory.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        place = line_in(error, [file])
        raise ValueError(f"{what} failed{place and f' {place}'}: {named}{error}") from error


def line_in(error: BaseException, files: Collection[str | None]) -> str:
    """The innermost line of an error that is in some files: "at line 3 of mine.py"; or empty."""
    lines = [line for line in traceback.extract_tb(error.__traceback__) if line.filename in files]
    return f"at line {lines[-1].lineno} of {Path(lines[-1].filename).name}" if lines else ""


class CopiedView(LayerView):
    """A layer of the language model as methods from outside get it: every tensor is a copy."""

    def __init__(self, view: LayerView) -> None:
        self._view = view
        self.index, self.image = view.index, view.image
        self.queries, self.hidden_states = view.queries.clone(), view.hidden_states.clone()

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """As of the layer."""
        return self._view.attention(queries).clone()

    def keys(self) -> Float[Tensor, "s k"]:
        """As of the layer."""
        return self._view.keys().clone()

    def values(self) -> Float[Tensor, "s heads e"]:
        """As of the layer."""
        return self._view.values().clone()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """As of the layer."""
        cosine, sine = self._view.rotary()
        return cosine.clone(), sine.clone()

    def states(self) -> Float[Tensor, "s d"]:
        """As of the layer."""
        return self._view.states().clone()
