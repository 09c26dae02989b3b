"""What a long command says when it is interrupted (Ctrl-C)."""

import sys
from collections.abc import Callable

INTERRUPTED = 130
"""Exit code of an interrupted command, as shells have it."""


def interruptible(work: Callable[[], None], kept: str) -> int:
    """Run a command; an interrupt ends it with one line on stderr and without a traceback.

    Args:
        work: The command.
        kept: What an interrupt leaves, for the line.

    Returns:
        The exit code: 0, or ``INTERRUPTED``.
    """
    try:
        work()
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; {kept}; run the same command again to continue\n")
        return INTERRUPTED
    return 0
