"""Parts of a run in several processes of this machine, each of which holds the model.

The process that started the study writes every part itself, as with Ray. Each worker loads model
and data and prepares the study for itself: nothing of a model travels, and nothing is shared. The
threads of this process are divided among the workers, and so are its GPUs: each worker sees one of
them. A small model computes faster in several processes of one thread than in one process of
several threads. On the CPU rows are the same, bit for bit, as those of one process with as many
threads as a worker has.
"""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from threading import Thread
from types import TracebackType

import torch

from litelvlm.analysis.runs.engine import Job, Mapper, PartResult
from litelvlm.analysis.runs.record import RunKey
from litelvlm.analysis.runs.workers.held import RETRIES, Worker, check_count

START = "forkserver"
"""How workers are started: as forks of a process that has imported modules and done nothing."""
log = logging.getLogger(__name__)
_held: dict[str, Worker] = {}


class Processes:
    """Worker processes of this machine; a context manager that ends them.

    They stay from study to study. Each holds one study at a time.

    Args:
        count: Processes.
        seed: For their determinism settings.
        gpus: Their GPUs, as CUDA_VISIBLE_DEVICES names them; none on the CPU.

    Raises:
        ValueError: If ``count`` is below 1.
    """

    def __init__(self, count: int, seed: int = 0, gpus: Sequence[str] = ()) -> None:
        check_count(count)
        self.gpus = tuple(gpus)
        if self.gpus and count > len(self.gpus):
            log.warning(
                "%d workers share %d GPUs, each with a model of its own; when memory runs out, "
                "ask for --workers %d",
                *(count, len(self.gpus), len(self.gpus)),
            )
        self.count, self.seed = count, seed
        self.threads = max(1, torch.get_num_threads() // count)
        self._pool: ProcessPoolExecutor | None = None
        self._others = set(multiprocessing.active_children())

    def __enter__(self) -> "Processes":
        """Nothing is started before the first part."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all workers at once; a part that is not finished is lost."""
        self._end()

    def mapper(self, make: Callable[[], Job]) -> Mapper:
        """Computes the parts of one study here.

        Args:
            make: Loads model and data and prepares the study; runs once in each worker, so it must
                be picklable.
        """
        return partial(self._finished, make)

    def _finished(
        self, make: Callable[[], Job], parts: Sequence[int], job: Job
    ) -> Iterator[tuple[int, PartResult]]:
        """Parts in the order in which they are finished.

        Raises:
            RuntimeError: If workers died more often than ``RETRIES`` allows.
            ValueError: If a worker would compute other rows than this process.
        """
        left, tries = list(parts), 0
        call = partial(compute, make, job.key, self.threads, self.seed)
        while left:
            pool = self._started()
            running: dict[Future[PartResult], int] = {pool.submit(call, p): p for p in left}
            try:
                for future in as_completed(list(running)):
                    part = running.pop(future)
                    result = future.result()
                    left.remove(part)
                    yield part, result
            except BrokenProcessPool as error:
                tries += 1
                self._end()
                if tries > RETRIES:
                    raise RuntimeError(
                        f"workers died {tries} times, perhaps because memory ran out; "
                        "finished parts are kept; give the same command with fewer --workers"
                    ) from error
                log.warning("a worker died; %d parts are given out again", len(left))
            finally:
                for future in running:
                    future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Never a fork of this process: its threads would be missing there.
            known = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context(START if START in known else "spawn")
            gpus = context.SimpleQueue()
            for number in range(self.count):
                gpus.put(self.gpus[number % len(self.gpus)] if self.gpus else None)
            self._pool = ProcessPoolExecutor(
                self.count, mp_context=context, initializer=begin, initargs=(gpus,)
            )
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            ours = set(multiprocessing.active_children()) - self._others
            for process in ours:
                process.terminate()
            for process in ours:
                process.join()
            self._pool = None


def import_once(module: str) -> None:
    """Let all workers begin with a module that is imported once, where the system can do that.

    It must be called before the first worker of this process is started.
    """
    if START in multiprocessing.get_all_start_methods():
        multiprocessing.get_context(START).set_forkserver_preload([module])


def gpus_for(device: str) -> tuple[str, ...]:
    """The GPUs that workers may have, as CUDA_VISIBLE_DEVICES names them.

    Args:
        device: "auto", "cuda", or "cpu", which has none.
    """
    if device == "cpu":
        return ()
    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(count)))[:count]


def begin(gpus: "SimpleQueue[str | None]") -> None:
    """What a worker does first: take its GPU, leave interrupts to its parent, and end with it."""
    gpu = gpus.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA starts, which it has not yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def compute(make: Callable[[], Job], key: RunKey, threads: int, seed: int, part: int) -> PartResult:
    """One part, in a worker; the study is prepared with the first part of it.

    Raises:
        ValueError: If the study prepared here would give other rows.
    """
    if key.digest not in _held:
        _held.clear()  # the model of the study before
        _held[key.digest] = Worker(make, key, threads, seed)
    return _held[key.digest].part(part)
