"""One process per share of a run folder, and a refusal that names the holder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_TRIES = 9
"""How often a file is opened anew whose former holder removes it meanwhile."""


class RunLockedError(RuntimeError):
    """Another process is writing the same parts."""


@dataclass(frozen=True)
class Shard:
    """The i-th of n shares of a run, counted from 1; part p belongs to share p mod n + 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "i/n".

        Raises:
            ValueError: If it is not two whole numbers with 1 <= i <= n.

        Example:
            >>> Shard.parse("2/8")
            Shard(index=2, count=8)
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise ValueError(f"shard {text!r} is not of the form i/n with 1 <= i <= n, such as 2/8")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, part: int) -> bool:
        """Whether this share computes a part."""
        return part % self.count == self.index - 1


@contextmanager
def hold(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold one share of a run folder.

    Other shares of the same division may be held at the same time; another division writes the same
    parts. The operating system drops a lock when its process ends, however it ends.

    Raises:
        RunLockedError: If another process holds this share or one that overlaps it.
    """
    own = folder / f"shard-{shard.index}-of-{shard.count}.lock"
    # Ours is taken before others are looked at, so that of two that collide one sees the other.
    stream, mine = _opened(own)
    with stream:
        try:
            holders = list(filter(None, map(_holder, _rivals(folder, own, mine))))
            if holders or not mine:
                raise RunLockedError(
                    f"{folder.name} is in use by {' and '.join(holders) or 'another process'}; "
                    "wait for it, or stop it and give the command again"
                )
            stream.truncate(0)
            stream.write(f"{os.getpid()}\n")
            stream.flush()
            yield
        finally:
            if mine:
                own.unlink(missing_ok=True)


def _opened(own: Path) -> tuple[TextIO, bool]:
    """The open file of a share, and whether its lock could be taken."""
    for _ in range(_TRIES):
        stream = own.open("a+", encoding="utf-8")
        mine = _taken(stream, fcntl.LOCK_EX)
        # The holder before may have removed the file after it was opened here.
        with suppress(FileNotFoundError):
            if not mine or os.path.samestat(os.fstat(stream.fileno()), own.stat()):
                return stream, mine
        stream.close()
    raise RunLockedError(f"{own} is removed again and again; give the command again")


def _rivals(folder: Path, own: Path, mine: bool) -> list[Path]:
    """Files of shares that overlap ours: another division, or ours where somebody else has it."""
    division = own.name.partition("-of-")[2]
    others = [
        path for path in folder.glob("shard-*.lock") if path.name.partition("-of-")[2] != division
    ]
    return sorted(others if mine else [*others, own])


def _holder(path: Path) -> str:
    """The process that holds a share, in words; empty if none does."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as stream:
        if not _taken(stream, fcntl.LOCK_SH):
            share = path.stem.removeprefix("shard-").replace("-of-", "/")
            told = "" if share == "1/1" else f" (shard {share})"
            return f"{_process(stream.read().strip())}{told}"
    return ""


def _process(number: str) -> str:
    """A process in words; one that is stopped never finishes by itself."""
    facts = ""
    with suppress(OSError):  # it has ended, or is another machine's
        facts = Path("/proc", number or "none", "stat").read_text(
            encoding="utf-8", errors="replace"
        )
    if facts.rpartition(")")[2].split()[:1] in (["T"], ["t"]):
        return (
            f"process {number}, which is stopped (`kill -CONT {number}` lets it go on, `kill -KILL "
            f"{number}` ends it; finished parts are kept)"
        )
    return f"process {number}" if number else "another process"


def _taken(stream: TextIO, mode: int) -> bool:
    """Whether the lock of an open file could be taken; it is dropped when the file is closed."""
    try:
        fcntl.flock(stream, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
