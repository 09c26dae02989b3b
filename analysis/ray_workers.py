"""Parts of a run on Ray actors that hold a model each, on this machine or on a cluster.

The process that started the study hands out one part at a time per actor and writes every part itself, so locks,
resuming and the files are those of an ordinary run. An actor that dies is started again and its part is given out
again; nothing of a part is kept before it is whole. Rows are computed by the same function with as many threads as
this process has, and so are the same, bit for bit on the CPU.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import torch

from analysis import provenance
from analysis.determinism import make_deterministic
from analysis.engine import Item, PartResult, Work, in_process

log = logging.getLogger(__name__)
RETRIES = 3
"""How often a part is given out again after its actor died."""


@dataclass(frozen=True)
class RayWorkers:
    """Computes parts on actors; a ``Mapper`` for ``engine.computed_by``.

    Attributes:
        make: Loads model and data; runs once in each actor, so it must be picklable.
        count: Actors.
        address: Of an existing cluster ("auto", or "ray://host:10001"); one is started here if left out.
        seed: For the actors' determinism settings.
    """

    make: Callable[[], tuple[Any, Any]]
    count: int = 2
    address: str | None = None
    seed: int = 0

    def __call__(
        self, parts: Sequence[int], chunks: Sequence[Sequence[Item]], work: Work
    ) -> Iterator[tuple[int, PartResult]]:
        """Parts in the order in which they are finished.

        Raises:
            RuntimeError: If a part's actor died more often than ``RETRIES`` allows.
            ValueError: If an actor loads another model than this process has.
        """
        if not parts:
            return
        ray = import_ray()
        started = not ray.is_initialized()
        threads = torch.get_num_threads()
        if started:
            # Little travels: the work without its model, and rows.
            small = {"num_cpus": self.count * threads, "include_dashboard": False, "object_store_memory": 256 * 2**20}
            size = {} if self.address else small
            ray.init(address=self.address, logging_level=logging.ERROR, log_to_driver=False, **size)
        try:
            yield from self._finished(ray, parts, chunks, work, threads)
        finally:
            if started:
                ray.shutdown()

    def _finished(
        self, ray: Any, parts: Sequence[int], chunks: Sequence[Sequence[Item]], work: Work, threads: int
    ) -> Iterator[tuple[int, PartResult]]:
        bare, identity = ray.put(strip(work)), identity_in(work)
        gpus = 1 if torch.cuda.is_available() else 0
        actor = ray.remote(num_cpus=threads, num_gpus=gpus)(Worker)

        def start() -> Any:
            return actor.remote(self.make, identity, threads, self.seed)

        free = [start() for _ in range(min(self.count, len(parts)))]
        left, tries = list(reversed(parts)), dict.fromkeys(parts, 0)
        running: dict[Any, tuple[Any, int]] = {}
        while left or running:
            while left and free:
                worker, part = free.pop(), left.pop()
                running[worker.part.remote(bare, list(chunks[part]))] = (worker, part)
            (ready,), _ = ray.wait(list(running), num_returns=1)
            worker, part = running.pop(ready)
            try:
                result = ray.get(ready)
            except ray.exceptions.RayActorError as error:
                tries[part] += 1
                log.warning("the worker of part %d died (%s); the part is given out again", part, error)
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


class Worker:
    """Holds model and data in a process of its own and computes parts.

    Args:
        make: Loads them.
        identity: What the model must be.
        threads: Of torch.
        seed: For the determinism settings.

    Raises:
        ValueError: If the loaded model is another one.
    """

    def __init__(self, make: Callable[[], tuple[Any, Any]], identity: dict[str, str], threads: int, seed: int) -> None:
        torch.set_num_threads(threads)
        make_deterministic(seed)
        self.model, self.data = make()
        found = provenance.model_identity(self.model)
        if found != identity:
            raise ValueError(f"the worker loaded {found}, the run is about {identity}; give both the same options")

    def part(self, work: Work, chunk: Sequence[Item]) -> PartResult:
        """Compute one part."""
        ((_, result),) = in_process([0], [chunk], fill(work, self.model, self.data))
        return result


def strip(work: Work) -> Work:
    """The same work without model and data, small enough to send."""
    return Work(_each_context(work.compute, None, None), _each_context(work.load, None, None))


def fill(work: Work, model: Any, data: Any) -> Work:
    """Work with a process's own model and data in place."""
    return Work(_each_context(work.compute, model, data), _each_context(work.load, model, data))


def identity_in(work: Work) -> dict[str, str]:
    """Identity of the model that a work's context holds.

    Raises:
        ValueError: If it holds none, several, or a data set that is a choice from another.
    """
    contexts = [*_contexts(work.compute)]
    if not contexts:
        raise ValueError(
            "this study's rows are made without a context that holds its model; run it without --engine ray"
        )
    first = contexts[0]
    # A worker loads one model and a whole split: it must not put them in the place of anything else.
    if any(context.model is not first.model for context in contexts):
        raise ValueError("this study compares several models, and a Ray worker loads one; run it without --engine ray")
    if hasattr(first.data, "data"):
        raise ValueError(
            "this study picks images of its own, and a Ray worker loads the whole split; run it without --engine ray"
        )
    return provenance.model_identity(first.model)


def import_ray() -> Any:
    """Ray, or how to get it.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import_module("ray.exceptions")
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise ValueError("--engine ray needs Ray; install it with: pip install 'litelvlm[scale]'") from error


def _is_context(value: Any) -> bool:
    names = {entry.name for entry in fields(value)} if is_dataclass(value) and not isinstance(value, type) else set()
    return {"model", "data"} <= names


def _contexts(function: Any) -> Iterator[Any]:
    for value in function.args if isinstance(function, partial) else ():
        for part in value if isinstance(value, tuple | list) else (value,):
            if _is_context(part):
                yield part


def _each_context(function: Any, model: Any, data: Any) -> Any:
    """A partial whose contexts hold another model and other data."""
    if not isinstance(function, partial):
        return function

    def swap(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(swap, value))
        return replace(value, model=model, data=data) if _is_context(value) else value

    return partial(function.func, *map(swap, function.args), **function.keywords)
