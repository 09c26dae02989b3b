"""Does memory grow, or the number of open files, while a sweep or the demo runs for long?

Usage: ``python benchmarks/long_run.py sweep --minutes 120 --ceiling 8``, and ``... demo ...``.

The sweep is computed again and again in one process, each time into an empty folder. The demo is
one server that answers one request after another. Both use the miniature ``--model``. The address
space of the process is limited to ``--ceiling`` GiB, so that a leak ends it. Twice a second its
resident memory and its open files are noted; twice a minute it notes what malloc holds: bytes that
are in use, and bytes that are free but not given back. The slopes are those of least squares over
the time after the first fifth, with an interval of 95 % from resampling blocks of a twentieth of
that time. An interrupt ends the watch early; what was noted is stored with the time that it took.
"""

import argparse
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import numpy as np
from common import store

ROOT = Path(__file__).resolve().parents[1]
HEAP = """
import ctypes, os, threading, time
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Info
def note():
    while True:
        info = libc.mallinfo2()
        with open(os.path.join(os.environ["TMPDIR"], "heap.csv"), "a") as notes:
            notes.write(f"{time.monotonic()},{info.uordblks + info.hblkhd},{info.fordblks}\\n")
        time.sleep(30)
threading.Thread(target=note, daemon=True).start()
"""
SWEEP = """
import sys, tempfile
from pathlib import Path
import torch
from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run
from litelvlm.analysis.studies import sweep
torch.set_num_threads(1)
model, data = load_model("MODEL", device="cpu"), load_refer("MODEL", split="val")
config = sweep.Config(limit=8, chunk_size=2, seeds=2)
while True:
    with tempfile.TemporaryDirectory() as folder:
        complete_run(sweep.STUDY, model, data, config, Path(folder))
    print("done", flush=True)
"""
DEMO = """
from litelvlm.analysis.cli import main
main(["demo", "--model", "MODEL", "--device", "cpu"])
"""


def started(program: str, ceiling: float, temporary: str) -> subprocess.Popen[str]:
    """The process that is watched."""
    limit = int(ceiling * 2**30)
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env=os.environ
        | {"TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT), "TMPDIR": temporary, "no_proxy": "*"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


def state(pid: int) -> tuple[float, int]:
    """Resident MiB and open files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    return memory, len(os.listdir(f"/proc/{pid}/fd"))


def rounds_of_sweep(process: subprocess.Popen[str]) -> Iterator[None]:
    """One entry per finished sweep."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        if line.startswith("done"):
            yield


def answers_of_demo(process: subprocess.Popen[str], temporary: str) -> Iterator[None]:
    """One entry per answer of the server, whose methods and budgets change."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    address = process.stdout.readline().split()[0].removeprefix("http://").rstrip("/")
    (picture,) = Path(temporary).glob("litelvlm-demo-*/example-0.png")
    image = {"path": str(picture), "meta": {"_type": "gradio.FileData"}}
    cases = [("litelvlm", 48), ("random", 16), ("divprune", 32), ("uniform", 8)]
    while True:
        for method, budget in cases:
            data = [image, "the blue circle", method, budget, 0]
            number = json.loads(_ask(address, "POST", "", json.dumps({"data": data})))["event_id"]
            if not re.search(r"event: complete", _ask(address, "GET", f"/{number}")):
                raise RuntimeError("the demo did not answer")
            yield


def _ask(address: str, method: str, path: str, body: str | None = None) -> str:
    connection = http.client.HTTPConnection(address, timeout=600)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"/gradio_api/call/compare{path}", body, headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def slope(hours: np.ndarray, values: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Slope per hour with an interval of 95 % from resampled blocks."""
    rng, n = np.random.default_rng(seed), len(hours)
    size = max(2, n // 20)
    starts = np.arange(0, n - size + 1)

    def fit(index: np.ndarray) -> float:
        return float(np.polyfit(hours[index], values[index], 1)[0])

    draws = [
        fit((rng.choice(starts, n // size)[:, None] + np.arange(size)).ravel()) for _ in range(2000)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"per_hour": fit(np.arange(n)), "low": float(low), "high": float(high)}


def heap(path: Path, begun: float) -> np.ndarray:
    """Hours since the watch began, MiB in use, and MiB that malloc holds free."""
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    table = np.column_stack([(table[:, 0] - begun) / 3600, table[:, 1:] / 2**20])
    return table[table[:, 0] > 0]


def watch(what: str, model: str, minutes: float, ceiling: float) -> dict[str, object]:
    """Run one of the two and note memory and files."""
    notes: list[tuple[float, float, int]] = []
    count = 0
    program = HEAP + (SWEEP if what == "sweep" else DEMO).replace("MODEL", model)
    with tempfile.TemporaryDirectory() as temporary:
        process = started(program, ceiling, temporary)
        works = rounds_of_sweep(process) if what == "sweep" else answers_of_demo(process, temporary)
        broken: list[str] = []

        def work() -> None:
            nonlocal count
            try:
                for _ in works:
                    count += 1
            except (
                OSError,
                RuntimeError,
                ValueError,
                IndexError,
                http.client.HTTPException,
            ) as error:
                broken.append(str(error)[:200])

        worker = Thread(target=work, daemon=True)
        worker.start()
        while count == 0 and process.poll() is None and not broken:
            sleep(0.1)
        begun = monotonic()
        with suppress(KeyboardInterrupt):
            while monotonic() - begun < 60 * minutes and process.poll() is None and not broken:
                notes.append(((monotonic() - begun) / 3600, *state(process.pid)))
                sleep(0.5)
        ended = process.poll()
        failure = broken[0] if broken else "" if ended is None else f"it ended with {ended}"
        finished, held = count, heap(Path(temporary) / "heap.csv", begun)
        process.send_signal(signal.SIGTERM)
        process.wait()
    table = np.array(notes)
    late = table[table[:, 0] >= table[-1, 0] / 5]
    used = held[held[:, 0] >= table[-1, 0] / 5]
    every = max(1, len(table) // 24)
    return {
        "model": model,
        "minutes": round(60 * float(table[-1, 0]), 1),
        "ceiling_gib": ceiling,
        "rounds" if what == "sweep" else "answers": finished,
        "failure": failure,
        "memory_mib": {"first": table[0, 1], "last": table[-1, 1], "peak": table[:, 1].max()},
        "memory_mib_over_time": table[::every, 1].round(1).tolist(),
        "malloc_mib": {
            "in_use": {"first": held[0, 1], "last": held[-1, 1]},
            "free": {"first": held[0, 2], "last": held[-1, 2]},
            "in_use_slope": slope(used[:, 0], used[:, 1]),
        },
        "files": {"first": table[0, 2], "last": table[-1, 2], "peak": table[:, 2].max()},
        "memory_mib_slope": slope(late[:, 0], late[:, 1]),
        "files_slope": slope(late[:, 0], late[:, 2]),
    }


def main() -> int:
    """Watch one of the two; 1 if it ended early."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("sweep", "demo"))
    parser.add_argument("--model", default="embedded", help="miniature by name")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--ceiling", type=float, default=8, help="GiB of address space")
    given = parser.parse_args()
    found = watch(given.what, given.model, given.minutes, given.ceiling)
    store(f"long_run_{given.what}", found)
    return int(bool(found["failure"]))


if __name__ == "__main__":
    sys.exit(main())
