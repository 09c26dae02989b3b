"""Kill studies of a planted model at every kind of write, go on, and compare; prints what differs.

It is a process of its own, because it forks.

Usage: ``python kills.py FOLDER``. A child counts what it does to the disk (each file flushed,
renamed or removed) and kills itself at a given one. The parent starts the next child, until one
finishes.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / "unit"), str(Path(__file__).parents[2] / "benchmarks")]

from fault_jobs import same_run
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run
from litelvlm.analysis.studies import reversal, sweep

STUDIES = {
    "sweep": (sweep.STUDY, sweep.Config(seeds=1, budgets=(48,), methods=("uniform",),
                                        chunk_size=1)),
    "reversal": (reversal.STUDY, reversal.Config(shifts=4, blobs=1, pool=4, donors=1,
                                                 chunk_size=1)),
}  # fmt: skip
KILLS = 4
CALLS = ("fsync", "replace", "rename", "unlink", "chmod")


def child(work: Callable[[], object], fatal: int, kind: int) -> tuple[int, int]:
    """Run the work in a fork that ends itself at its ``fatal``-th call; exit status and calls."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def inner(*given: object, **named: object) -> object:
                nonlocal count
                count += 1
                if count == fatal:
                    os.kill(os.getpid(), kind)
                return call(*given, **named)

            return inner

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            work()
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os.write(writing, str(count).encode())
            os._exit(code)
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    calls = int(os.read(reading, 20) or b"0")
    os.close(reading)
    return status, calls


def main() -> None:
    """Kill each study some times, each time at a call drawn from all of an undisturbed run."""
    folder, draw = Path(sys.argv[1]), random.Random(0)
    model, data = PlantedModel("instance", noise=0.3, pull=0.4), planted_data(3)
    found: dict[str, object] = {}
    for name, (study, config) in STUDIES.items():
        whole, broken = folder / name / "whole", folder / name / "broken"

        def work(out: Path, study=study, config=config) -> object:
            return complete_run(study, model, data, config, out)

        _, calls = child(partial(work, whole), 0, signal.SIGKILL)
        kills = 0
        for number in range(4 * KILLS):
            kind = signal.SIGINT if number % 3 == 2 else signal.SIGKILL
            fatal = draw.randint(1, calls) if kills < KILLS else 0
            status, _ = child(partial(work, broken), fatal, kind)
            kills += status != 0
            if status not in (0, 130, -signal.SIGKILL):
                found[f"{name} {number}"] = f"exit {status}"
            if status == 0 and kills >= KILLS:
                break
        found[name] = {"kills": kills, "calls": calls, "differs": same_run(whole, broken)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
