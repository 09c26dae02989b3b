"""Kill every long command at random moments, give it again, and compare what it wrote.

Usage: ``python benchmarks/faults.py [--kills 60] [--jobs reversal family ray] [--seed 0]``.

Each command runs once undisturbed. Then its process is killed at a moment drawn from the length of
that run and started again, until its share of the kills is used up. A start is a fork of this
process, which has the libraries loaded, so that kills hit the work. Whenever a start reaches its
end, the results are compared, and the next one begins in an empty folder. Two of three kills are
SIGKILL, the third is SIGINT (Ctrl-C), after which the process must say so and exit with 130. Of the
Ray job, every second SIGKILL hits a worker, and no process may be left behind. The job "clock" runs
under a clock that is set back by a day at every start and by an hour on the way. The job
"reproduce" fetches, converts, measures and reports a published table from a hub on the loopback
address.

Rows, claims and tables, weights and measurements must be equal bit for bit (of the bench: which
measurements there are, and the counts of operations), and no debris may be left.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, perf_counter, sleep

import torch
from common import RESULTS, store
from fault_jobs import Job, jobs

EARLIEST = 0.05
"""Share of an undisturbed run before which nothing is killed."""

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
    kills: dict[str, int] = field(default_factory=dict)
    exits: dict[int, int] = field(default_factory=dict)
    compared: int = 0
    differs: list[str] = field(default_factory=list)


def descendants(pid: int) -> dict[int, str]:
    """Processes that a process has started, with their command lines."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
            lines[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    found, new = {}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new and child not in found}
        found |= {child: lines[child] for child in new}
    return found


def left_behind(pids: dict[int, str], patience: float = 60.0) -> list[str]:
    """Processes that are still there after a while; they are ended."""
    deadline = monotonic() + patience
    alive = dict(pids)
    while alive and monotonic() < deadline:
        sleep(0.5)
        alive = {pid: line for pid, line in alive.items() if _command(pid) == line}
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return [f"left behind: {line[:60]}" for line in alive.values()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


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
        """What it wrote to stderr."""
        return self.messages.read_text(errors="replace")


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
        others = descendants(process.pid)
        if kind == "worker":
            targets = [pid for pid, line in others.items() if "ray::Worker" in line][:1]
        else:
            targets = [process.pid]
        for pid in targets:  # none, where no worker is there yet
            os.kill(pid, signal.SIGINT if kind == "SIGINT" else signal.SIGKILL)
            outcome.kills[kind] = outcome.kills.get(kind, 0) + 1
        process.ended()
        said = process.said()
        if process.code < 0 or process.code == 130:
            outcome.differs += left_behind(others)
        if process.code == 130 and job.says not in said:
            outcome.differs.append(f"Ctrl-C without a word: {said[-200:]!r}")
        if "Traceback" in said:
            outcome.differs.append(f"a traceback: {said[-200:]!r}")
    outcome.exits[process.code] = outcome.exits.get(process.code, 0) + 1
    return process.code


def torment(job: Job, folder: Path, planned: int, draw: random.Random) -> Outcome:
    """Kill a job as often as planned, and compare whatever it finishes."""
    whole, outcome, number = folder / "whole", Outcome(), 0
    begun = perf_counter()
    process = Start(job, whole)
    process.ended()
    if process.code != 0:
        raise RuntimeError(f"{job.name} fails without any fault: {process.said()[-2000:]}")
    outcome.seconds = round(perf_counter() - begun, 1)
    broken = folder / "broken-0"
    allowed = {0, 130, -signal.SIGKILL}
    while True:
        done = sum(outcome.kills.values())
        last = done >= planned
        kind = "SIGINT" if done % 3 == 2 else "worker" if job.workers and done % 2 else "SIGKILL"
        wait = 3600.0 if last else draw.uniform(EARLIEST, 1.0) * outcome.seconds
        code = disturb(job, broken, wait, kind, outcome)
        if code not in allowed:
            outcome.differs.append(f"exit {code}")
        if code == 0:
            outcome.differs += job.compare(whole, broken)
            outcome.compared += 1
            number += 1
            broken = folder / f"broken-{number}"
            if last:
                return outcome
        elif last:
            outcome.differs.append(f"exit {code} of an undisturbed start")
            return outcome


def main() -> int:
    """Kill, go on, compare; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--jobs", nargs="*", choices=list(jobs()), default=list(jobs()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--add", action="store_true", help="to the jobs of the stored result")
    given = parser.parse_args()
    draw = random.Random(given.seed)
    os.environ.update(ENVIRONMENT)
    torch.set_num_threads(1)
    table = jobs()
    results: dict[str, Outcome] = {}
    stored = RESULTS / "faults.json"
    earlier = json.loads(stored.read_text())["jobs"] if given.add and stored.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(given.jobs):
            share, rest = divmod(given.kills, len(given.jobs))
            planned = share + (number < rest)
            with table[name].around(Path(folder) / name):
                results[name] = torment(table[name], Path(folder) / name, planned, draw)
            keep(earlier | {job: asdict(outcome) for job, outcome in results.items()})
    return int(any(outcome.differs for outcome in results.values()))


def keep(jobs: dict[str, dict]) -> None:
    """Store what there is so far; a long run may be stopped, and another may add to it."""
    kills = sum((Counter(outcome["kills"]) for outcome in jobs.values()), Counter[str]())
    store(
        "faults",
        {
            "kills": kills.total(),
            "kills_by_kind": dict(kills),
            "compared": sum(outcome["compared"] for outcome in jobs.values()),
            "differences": sum(len(outcome["differs"]) for outcome in jobs.values()),
            "jobs": jobs,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
