"""One case that fails must not take the answers to the others with it, nor be passed over."""

from collections.abc import Iterator
from contextlib import contextmanager


class Failures:
    """Collects what went wrong, to be raised together after everything else is written."""

    def __init__(self) -> None:
        self.found: list[Exception] = []

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Keep an error of the block, with what it was about."""
        try:
            yield
        except Exception as error:
            error.add_note(f"while computing {what}")
            self.found.append(error)

    def raise_any(self) -> None:
        """Raise what was kept.

        Raises:
            ExceptionGroup: If anything was.
        """
        if self.found:
            raise ExceptionGroup(
                "some cases could not be computed; all others are written", self.found
            )
