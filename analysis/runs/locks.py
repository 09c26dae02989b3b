"""One process per share of a run folder, and a refusal that names the holder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


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

    Other shares may be held at the same time, the whole run may not. The operating system drops the
    locks when the process ends, however it ends.

    Raises:
        RunLockedError: If another process holds this share or one that overlaps it.
    """
    with ExitStack() as stack:
        stack.enter_context(
            _locked(
                folder / "run.lock", fcntl.LOCK_SH if shard.count > 1 else fcntl.LOCK_EX, folder
            )
        )
        own = folder / f"shard-{shard.index}-of-{shard.count}.lock"
        if any(
            _is_held(path)
            for path in folder.glob("shard-*.lock")
            if not path.stem.endswith(f"-of-{shard.count}")
        ):
            raise _refusal(folder)  # another division into shares writes the same parts
        handle = stack.enter_context(_locked(own, fcntl.LOCK_EX, folder))
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield


@contextmanager
def _locked(path: Path, mode: int, folder: Path) -> Iterator[int]:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise _refusal(folder) from error
        # The former holder may have removed the file between our opening and locking it.
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            break
        os.close(handle)
    try:
        yield handle
    finally:
        with suppress(BlockingIOError):  # the last of several sharers removes the file
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        os.close(handle)


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _refusal(folder: Path) -> RunLockedError:
    names = []
    for path in sorted(folder.glob("shard-*.lock")):
        if _is_held(path):
            share = path.stem.removeprefix("shard-").replace("-of-", "/")
            names.append(
                f"process {path.read_text().strip()}"
                + ("" if share == "1/1" else f" (shard {share})")
            )
    holders = " and ".join(names) or "another process"
    return RunLockedError(
        f"{folder.name} is in use by {holders}; wait for it, or stop it and give the command again"
    )
