"""Parts of a run on Ray actors that hold a model each, on this machine or on a cluster.

The process that started the study hands out one part at a time per actor and writes every part
itself, so locks, resuming and the files are those of an ordinary run. Each actor loads model and
data and prepares the study for itself, as this process did: nothing of a model travels. An actor
that dies is started again and its part is given out again; nothing of a part is kept before it is
whole. The same function computes the rows with as many threads as this process has, so rows are
the same, bit for bit on the CPU.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol, runtime_checkable

import torch

from litelvlm.analysis.runs.engine import Job, PartResult
from litelvlm.analysis.runs.record import RunKey
from litelvlm.analysis.runs.workers.held import RETRIES, Worker, check_count

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RayWorkers:
    """Computes parts on actors; a ``Mapper`` for ``engine.complete_run``.

    Attributes:
        make: Loads model and data and prepares the study (see ``engine.prepare``); runs once in
            each actor, so it must be picklable.
        count: Actors.
        address: Of an existing cluster ("auto", or "ray://host:10001"); one is started here if left
            out.
        seed: For the actors' determinism settings.
    """

    make: Callable[[], Job]
    count: int = 2
    address: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.count)

    def __call__(self, parts: Sequence[int], job: Job) -> Iterator[tuple[int, PartResult]]:
        """Parts in the order in which they are finished.

        Raises:
            RuntimeError: If Ray cannot be started, or a part's actor died more often than
                ``RETRIES`` allows.
            ValueError: If an actor would compute other rows than this process.
        """
        if not parts:
            return
        ray = import_ray()
        started = not ray.is_initialized()
        threads = torch.get_num_threads()
        if started:
            # Little travels: images by their numbers, and rows.
            small = {
                "num_cpus": self.count * threads,
                "include_dashboard": False,
                "object_store_memory": 256 * 2**20,
            }
            size = {} if self.address else small
            try:
                ray.init(
                    address=self.address, logging_level=logging.ERROR, log_to_driver=False, **size
                )
            except Exception as error:  # Ray raises a plain Exception on a machine that is too busy
                raise RuntimeError(
                    f"Ray could not be started ({str(error)[:300]}); wait for a less "
                    "busy machine, set RAY_raylet_start_wait_time_s=300, or leave out --engine ray"
                ) from error
        try:
            yield from self._finished(ray, parts, job.key, threads)
        finally:
            if started:
                ray.shutdown()

    def _finished(
        self, ray: ModuleType, parts: Sequence[int], key: RunKey, threads: int
    ) -> Iterator[tuple[int, PartResult]]:
        gpus = 1 if torch.cuda.is_available() else 0
        actor = ray.remote(num_cpus=threads, num_gpus=gpus)(Worker)

        start = partial(actor.remote, self.make, key, threads, self.seed)

        free = [start() for _ in range(min(self.count, len(parts)))]
        left, tries = list(reversed(parts)), dict.fromkeys(parts, 0)
        running: dict[object, tuple[RemoteWorker, int]] = {}
        while left or running:
            while left and free:
                worker, part = free.pop(), left.pop()
                running[worker.part.remote(part)] = (worker, part)
            (ready,), _ = ray.wait(list(running), num_returns=1)
            worker, part = running.pop(ready)
            try:
                result = ray.get(ready)
            except ray.exceptions.RayActorError as error:
                tries[part] += 1
                log.warning(
                    "the worker of part %d died (%s); the part is given out again", part, error
                )
                if tries[part] > RETRIES:
                    raise RuntimeError(
                        f"the workers of part {part} died {tries[part]} times; see Ray's logs"
                    ) from error
                left.append(part)
                ray.kill(worker)
                free.append(start())
            except ray.exceptions.RayTaskError as error:
                raise error.as_instanceof_cause() from error
            else:
                free.append(worker)
                yield part, result


@runtime_checkable
class RemoteMethod(Protocol):
    """A method of an actor."""

    def remote(self, part: int) -> object:
        """Start the call and return the handle of its result."""


@runtime_checkable
class RemoteWorker(Protocol):
    """The handle of a ``Worker`` in another process."""

    @property
    def part(self) -> RemoteMethod:
        """Computes one part."""


def check_ray() -> None:
    """Refuse to go on without Ray; it is not imported yet, which takes seconds.

    Raises:
        ValueError: If it is not installed.
    """
    if find_spec("ray") is None:
        raise ValueError("--engine ray needs Ray; run: pip install 'ray>=2.50'")


def import_ray() -> ModuleType:
    """Ray.

    Raises:
        ValueError: If it is not installed.
    """
    check_ray()
    import_module("ray.exceptions")
    return import_module("ray")
