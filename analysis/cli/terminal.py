"""The terminal: what is printed there, and a reader that goes away, as in `... | head`."""

import json
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

READER_GONE = 141
"""Exit code of a program whose reader has gone: 128 and the number of SIGPIPE, as shells count."""


def reader_gone(stream: TextIO) -> bool:
    """Whether nobody reads this stream any more; unknown streams count as read."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # no file behind it
        return False
    asked = select.poll()
    asked.register(number, select.POLLOUT)
    return any(event & select.POLLERR for _, event in asked.poll(0))


def mute() -> None:
    """Send what the streams without a reader still hold nowhere, so that exit stays quiet."""
    for stream in (sys.stdout, sys.stderr):
        if reader_gone(stream):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def print_json(found: object) -> None:
    """Print plain data as one JSON value; a number that is not finite is an error, never NaN."""
    json.dump(found, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
