"""Code from outside the package: its prints, its errors, and what it may change."""

import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch


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
