"""Calls of the hub, which may be silent, slow, or no hub at all: none hangs, and each says so."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from json import JSONDecodeError
from threading import Thread
from time import monotonic
from typing import Protocol, TypeVar, runtime_checkable

from huggingface_hub import constants, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from pydantic import ValidationError

from litelvlm.data.safe.shown import first_line, first_problem, shown

AnswerT = TypeVar("AnswerT")
_OWN = (FileNotFoundError, MemoryError, HFValidationError, OfflineModeIsEnabled)
SLOWEST = 1_000
"""Bytes a second; what comes slower for the time of ``patience`` is given up."""
MAX_ANSWER = 200_000_000
"""Bytes of a list of files."""


class _Address(Protocol):
    path: str


@runtime_checkable
class _Request(Protocol):
    """What is read of a request; the client's HTTP library changes its name between releases."""

    url: _Address
    extensions: dict[str, dict[str, float | None]]


@runtime_checkable
class _Response(Protocol):
    request: _Request
    iter_raw: Callable[[int | None], Iterator[bytes]]


def patience() -> float:
    """Seconds until an answer must be there; three times the client's own limit of one wait."""
    return 3.0 * constants.HF_HUB_DOWNLOAD_TIMEOUT


@contextmanager
def hub_errors(what: str, hub: str | None = None) -> Iterator[None]:
    """Limit how long the hub may be silent or slow, and say its troubles in words that name it.

    Errors of this machine pass unchanged.

    Args:
        what: What is asked for: a repository, or a file of one.
        hub: Address of the hub; that of the client by default.

    Raises:
        ConnectionError: If the hub cannot be reached, breaks off for good, refuses, or answers as
            no hub does.
    """
    hub, hooks = hub or constants.ENDPOINT, get_session().event_hooks
    hooks["request"].append(_limit_waits)
    hooks["response"].append(_limit_slowness)
    try:
        yield
    except HfHubHTTPError as error:
        raise ConnectionError(
            f"the hub refuses {what}: {first_line(error)} ({hub}); run the same command again "
            "later, or name files of your own"
        ) from error
    except Exception as error:
        # By name, which newer releases follow with a number.
        network = type(error).__module__.startswith(("httpx", "httpcore"))
        if network or isinstance(error, TimeoutError):
            raise ConnectionError(
                f"{what} cannot be fetched from {hub} ({first_line(error)}); what is there is "
                "kept; run the same command again once there is a connection (for a slow one set "
                f"HF_HUB_DOWNLOAD_TIMEOUT above {constants.HF_HUB_DOWNLOAD_TIMEOUT} seconds)"
            ) from error
        ours = isinstance(error, _OWN)
        if ours or getattr(error, "errno", None):
            raise  # no local copy, or trouble of this machine
        raise ConnectionError(
            f"{hub} answers about {what} as no hub does ({_oddity(error)}); check HF_ENDPOINT, and "
            "whether this network wants a login in a browser first; then run the same command again"
        ) from error
    finally:
        hooks["request"].remove(_limit_waits)
        hooks["response"].remove(_limit_slowness)


def answered(ask: Callable[[], AnswerT]) -> AnswerT:
    """What a call returns that asks for facts, no files, within ``patience`` as a whole.

    A hub can send its headers letter by letter, which no limit of a single wait ends. So the call
    runs in a thread of its own, and is left to itself.

    Raises:
        TimeoutError: If it takes longer.
    """
    found: Future[AnswerT] = Future()

    def run() -> None:
        try:
            found.set_result(ask())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return found.result(patience())
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer in {patience():.0f} seconds") from error


def commit_of(info: object) -> str:
    """The commit that the hub states of a repository.

    Raises:
        ValueError: If it is none; it becomes part of paths.
    """
    commit = getattr(info, "sha", None)
    if not (isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{40}", commit)):
        raise ValueError(f"its commit is {shown(commit)}")
    return commit


def _limit_waits(request: _Request) -> None:
    """Give every single wait of a request a limit; some of the client's calls have none."""
    waits = request.extensions.get("timeout") or {}
    seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT
    request.extensions["timeout"] = {
        name: seconds if waits.get(name) is None else waits[name]
        for name in ("connect", "read", "write", "pool")
    }


def _limit_slowness(response: _Response) -> None:
    """Give up a content that comes too slowly, and a list of files that does not end."""
    read, listed = response.iter_raw, response.request.url.path.startswith("/api/")

    def iter_raw(chunk_size: int | None = None) -> Iterator[bytes]:
        begun, come, whole = monotonic(), 0, 0
        for piece in read(chunk_size):
            come, whole = come + len(piece), whole + len(piece)
            passed = monotonic() - begun
            if listed and whole > MAX_ANSWER:
                raise ValueError(f"a list of files with more than {MAX_ANSWER:,} bytes")
            if passed > patience():
                if come < SLOWEST * passed:
                    raise TimeoutError(f"{come:,} bytes came in {passed:.0f} seconds")
                begun, come = monotonic(), 0
            yield piece

    response.iter_raw = iter_raw


def _oddity(error: Exception) -> str:
    """What is wrong with an answer that the client could not read."""
    if isinstance(error, JSONDecodeError | UnicodeDecodeError):
        return "it is no JSON"
    if isinstance(error, RecursionError):
        return "values are nested too deeply"
    if isinstance(error, ValidationError):
        return first_problem(error)
    told = isinstance(error, ValueError | OSError)
    return first_line(error) if told else "fields are missing or of another type"
