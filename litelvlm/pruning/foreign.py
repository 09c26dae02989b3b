"""Code from outside the package: its prints, its errors, and what it may change."""

import os
import random
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

import numpy as np
import torch

_Both = tuple[Callable[[], object], Callable[..., object]]  # type: ignore[explicit-any]
_SETTINGS: tuple[_Both, ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (os.getcwd, os.chdir),
)
_GENERATORS: tuple[_Both, ...] = (
    (torch.get_rng_state, torch.set_rng_state),
    (np.random.get_state, np.random.set_state),
    (random.getstate, random.setstate),
)

MAX_WORDS = 1_000
"""Signs of a foreign error's message."""


@contextmanager
def kept_settings() -> Iterator[None]:
    """Put back the process's settings and random states, which others compute with."""
    before = [(read, write, read()) for read, write in _SETTINGS]
    states = [(write, read()) for read, write in _GENERATORS]
    try:
        yield
    finally:
        for read, write, value in before:
            if read() != value:
                write(value)
        for write, value in states:
            write(value)


@contextmanager
def without_draws() -> Iterator[None]:
    """Refuse code that draws from the generators of torch or NumPy.

    ``kept_settings`` puts them back, so every image would get the same draws. Python's own cannot
    be watched, because type checkers at run time draw from it.

    Raises:
        ValueError: If one of them was used.
    """
    before = _states()
    yield
    if before != _states():
        raise ValueError(
            "it seeds or draws from the random generator of torch or NumPy, whose state is put "
            "back after each image, so that every image would get the same draws; add a field "
            "seed: int = 0 and draw from numpy.random.default_rng((self.seed, cues.key))"
        )


def _states() -> tuple[object, ...]:
    """States of these generators, as values that can be compared."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - what a plug-in may use
    return torch.get_rng_state().tolist(), name, np.asarray(keys).tolist(), rest


@contextmanager
def foreign_code(what: str, file: str | None = None, key: int | None = None) -> Iterator[None]:
    """Run code that is not the suite's: prints go to stderr, and an error names the code.

    Standard output belongs to results, which ``--json`` promises to be JSON. ``sys.exit`` counts as
    an error, because the rest of the command would silently not run.

    Args:
        what: The code, for the message: "method 'mine'".
        file: Its file, whose innermost line in the traceback is named; None for none.
        key: Identity of an image, for code that may not draw from the generators of torch and NumPy
            and begins Python's own with it; None for code that runs once.

    Raises:
        ValueError: In place of any error but an interrupt and too little memory.
    """
    try:
        held = nullcontext() if key is None else without_draws()
        with kept_settings(), redirect_stdout(sys.stderr), held:
            if key is not None:
                random.seed(key)
            yield
    except (MemoryError, torch.OutOfMemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        place = line_in(error, [file])
        told = f"{what} failed{place and f' {place}'}: {named}{words_of(error)}"
        raise ValueError(told) from error


def words_of(error: BaseException) -> str:
    """The message of a foreign error, in at most ``MAX_WORDS`` signs; empty where it has none."""
    try:
        text = str(error)
    except Exception:
        return ""
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}..."


def line_in(error: BaseException, files: Collection[str | None]) -> str:
    """The innermost line of an error that is in some files: "at line 3 of mine.py"; or empty."""
    lines = [line for line in traceback.extract_tb(error.__traceback__) if line.filename in files]
    return f"at line {lines[-1].lineno} of {Path(lines[-1].filename).name}" if lines else ""
