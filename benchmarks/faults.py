"""Kill every long command at random moments, give it again, and compare what it wrote.

Usage: ``python benchmarks/faults.py [--kills 60] [--jobs reversal family ray] [--seed 0]``.

Each command runs once undisturbed. Then its process is killed at a moment drawn from the length of
that run and started again, until its share of the kills is used up. A start is a fork of this
process, which has the libraries loaded, so that kills hit the work. Whenever a start reaches its
end, the results are compared, and the next one begins in an empty folder. Two of three kills are
SIGKILL, the third is SIGINT (Ctrl-C), after which the process must say so and exit with 130. Of the
Ray job, every second SIGKILL hits a worker, and no process may be left behind. The job "clock" runs
under a clock that is set back, and "reproduce" fetches from a hub on the loopback address.

Rows, claims and tables, weights and measurements must be equal bit for bit (of the bench: which
measurements there are, and the counts of operations), and no debris may be left.
"""

import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import psutil
import torch
from common import RESULTS, run
from fault_jobs import Job, all_jobs

EARLIEST = 0.05
"""Share of an undisturbed run before which nothing is killed."""
FINISHED = 3600.0
"""Seconds after which nothing is killed any more."""
ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "300",  # a busy machine starts Ray's helpers slowly
}


@dataclass
class Outcome:
    """What became of one job.

    Attributes:
        seconds: Length of the undisturbed run.
        kills: How many of each kind.
        exits: How many starts ended with each code; negative is the number of a signal.
        compared: Finished results that were compared with the undisturbed one.
        differs: Whatever was not as it should be.
    """

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    compared: int = 0
    differs: list[str] = field(default_factory=list)


def descendants(pid: int) -> list[psutil.Process]:
    """Processes that a process has started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def left_behind(processes: list[psutil.Process]) -> list[str]:
    """Processes that are still there after a minute; they are ended."""
    _, alive = psutil.wait_procs(processes, timeout=60)
    for process in alive:
        process.kill()
    return [f"left behind: process {process.pid}" for process in alive]


class Start:
    """A job in a process of its own, forked from this one.

    Args:
        job: The job.
        out: Its output folder.
    """

    def __init__(self, job: Job, out: Path) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.messages, self.code = out.with_name(f"{out.name}.stderr"), 0
        self.pid = os.fork()
        if self.pid == 0:
            _run(job, out, self.messages)

    def ended(self, wait: float | None = None) -> bool:
        """Whether it has ended, at the latest after some seconds; without a limit if left out."""
        deadline = None if wait is None else monotonic() + wait
        while True:
            pid, status = os.waitpid(self.pid, 0 if deadline is None else os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                return True
            if deadline is not None and monotonic() > deadline:
                return False
            sleep(0.005)

    def said(self) -> str:
        """The end of what it wrote to stderr."""
        return self.messages.read_text(errors="replace")[-2000:]


def _run(job: Job, out: Path, messages: Path) -> None:
    """The forked process: run the job and end as a program would; never returns."""
    code = 1
    try:
        # Whoever runs this script in the background of a shell ignores interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with messages.open("wb") as log, Path(os.devnull).open("wb") as nowhere:
            os.dup2(log.fileno(), 2)
            os.dup2(nowhere.fileno(), 1)
        code = job.work(out)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    except KeyboardInterrupt:  # what Python does with one that nobody takes
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def disturb(job: Job, out: Path, wait: float, kind: str, outcome: Outcome) -> int:
    """Start the command and kill it after some seconds, unless it has ended before."""
    process = Start(job, out)
    if not process.ended(wait):
        others, targets = descendants(process.pid), [process.pid]
        if kind == "worker":  # none, where no worker is there yet
            targets = [p.pid for p in others if "ray::Worker" in " ".join(p.cmdline())][:1]
        for pid in targets:
            os.kill(pid, signal.SIGINT if kind == "SIGINT" else signal.SIGKILL)
            outcome.kills[kind] += 1
        process.ended()
        if process.code < 0 or process.code == 130:
            outcome.differs += left_behind(others)
        if process.code == 130 and "interrupted" not in process.said():
            outcome.differs.append(f"Ctrl-C without a word: {process.said()}")
        if "Traceback" in process.said():
            outcome.differs.append(f"a traceback: {process.said()}")
    outcome.exits[process.code] += 1
    return process.code


def torment(name: str, job: Job, folder: Path, planned: int, draw: random.Random) -> Outcome:
    """Kill a job as often as planned, and compare whatever it finishes.

    Raises:
        RuntimeError: If it fails without any fault.
    """
    whole, outcome, begun = folder / "whole", Outcome(), perf_counter()
    process = Start(job, whole)
    process.ended()
    if process.code != 0:
        raise RuntimeError(f"{name} fails without any fault: {process.said()}")
    outcome.seconds = round(perf_counter() - begun, 1)
    while True:
        done, broken = outcome.kills.total(), folder / f"broken-{outcome.compared}"
        last = done >= planned
        kind = "SIGINT" if done % 3 == 2 else "worker" if job.workers and done % 2 else "SIGKILL"
        wait = FINISHED if last else draw.uniform(EARLIEST, 1.0) * outcome.seconds
        code = disturb(job, broken, wait, kind, outcome)
        if code not in (0, 130, -signal.SIGKILL) or (last and code):
            outcome.differs.append(f"exit {code}")
        if code == 0:
            outcome.differs += job.compare(whole, broken)
            outcome.compared += 1
        if last:
            return outcome


def measure(
    kills: int = 60, jobs: tuple[str, ...] = (), seed: int = 0, add: bool = False
) -> dict[str, Any]:
    """Kill, go on and compare; all jobs without names, "add" to those of the stored result.

    Raises:
        ValueError: If there is no such job.
    """
    os.environ.update(ENVIRONMENT)
    torch.set_num_threads(1)
    table, draw = all_jobs(), random.Random(seed)
    if unknown := set(jobs) - set(table):
        raise ValueError(f"no job {min(unknown)!r}; allowed are {', '.join(table)}")
    stored, chosen = RESULTS / "faults.json", jobs or tuple(table)
    results = json.loads(stored.read_text())["jobs"] if add and stored.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(chosen):
            planned = kills // len(chosen) + (number < kills % len(chosen))
            place = Path(folder) / name
            with table[name].around(place):
                results[name] = vars(torment(name, table[name], place, planned, draw))
            print(name, results[name], flush=True)
    by_kind = sum((Counter(outcome["kills"]) for outcome in results.values()), Counter[str]())
    return {
        "kills": by_kind.total(),
        "kills_by_kind": dict(by_kind),
        "compared": sum(outcome["compared"] for outcome in results.values()),
        "differences": sum(len(outcome["differs"]) for outcome in results.values()),
        "jobs": results,
    }


if __name__ == "__main__":
    run(measure)
