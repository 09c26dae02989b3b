"""Does memory grow, or the number of open files, while a sweep or the demo runs for long?

Usage: ``python benchmarks/long_run.py sweep --minutes 120 --ceiling 8``, and ``... demo ...``.

The sweep is computed again and again in one process, each time into an empty folder. The demo is
one server that answers one request after another. Both use the miniature ``--model``. The address
space of the process is limited to ``--ceiling`` GiB, so that a leak ends it. Twice a second its
resident memory and its open files are noted; twice a minute it notes the bytes that malloc has in
use, and those that are free but not given back. The slopes are those of least squares over the time
after the first fifth, with an interval of 95 % from resampling blocks of a twentieth of that time.
An interrupt ends the watch early; what was noted is stored with the time that it took.
"""

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
from typing import Any, Literal

import numpy as np
from common import ROOT, run

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
import tempfile
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
ASKED = [("litelvlm", 48), ("random", 16), ("divprune", 32), ("uniform", 8)]
"""Methods and budgets of the demo's requests, in turn."""


def started(program: str, ceiling: float, temporary: str) -> subprocess.Popen[str]:
    """The process that is watched."""
    limit = int(ceiling * 2**30)
    own = {"TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT), "TMPDIR": temporary, "no_proxy": "*"}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env=os.environ | own,
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


def finished(printed: Iterator[str], what: str, temporary: str) -> Iterator[None]:
    """One entry per finished sweep, or per answer of the server."""
    if what == "sweep":
        yield from (None for line in printed if line.startswith("done"))
        return
    address = next(printed).split()[0].removeprefix("http://").rstrip("/")
    (picture,) = Path(temporary).glob("litelvlm-demo-*/example-0.png")
    image = {"path": str(picture), "meta": {"_type": "gradio.FileData"}}
    while True:
        for method, budget in ASKED:
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


def slope(hours: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Slope per hour with an interval of 95 % from resampled blocks, behind the first fifth."""
    late = hours >= hours[-1] / 5
    hours, values = hours[late], values[late]
    rng, n = np.random.default_rng(0), len(hours)
    size = max(2, n // 20)
    starts = np.arange(0, n - size + 1)

    def fit(index: np.ndarray) -> float:
        return float(np.polyfit(hours[index], values[index], 1)[0])

    draws = [
        fit((rng.choice(starts, n // size)[:, None] + np.arange(size)).ravel()) for _ in range(2000)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"per_hour": fit(np.arange(n)), "low": float(low), "high": float(high)}


def ends(values: np.ndarray) -> dict[str, float]:
    """First, last and largest."""
    return {"first": values[0], "last": values[-1], "peak": values.max()}


def measure(
    what: Literal["sweep", "demo"],
    model: str = "embedded",
    minutes: float = 120.0,
    ceiling: float = 8.0,
) -> dict[str, Any]:
    """Run one of the two and note memory and files; a failure is stored in its words."""
    notes, broken, count = list[tuple[float, float, int]](), list[str](), 0
    program = HEAP + (SWEEP if what == "sweep" else DEMO).replace("MODEL", model)
    with tempfile.TemporaryDirectory() as temporary:
        process = started(program, ceiling, temporary)

        def work() -> None:
            nonlocal count
            try:
                for _ in finished(iter(process.stdout or ()), what, temporary):
                    count += 1
            except Exception as error:
                broken.append(str(error)[:200])

        Thread(target=work, daemon=True).start()
        while count == 0 and process.poll() is None and not broken:
            sleep(0.1)
        begun = monotonic()
        with suppress(KeyboardInterrupt):
            while monotonic() - begun < 60 * minutes and process.poll() is None and not broken:
                notes.append(((monotonic() - begun) / 3600, *state(process.pid)))
                sleep(0.5)
        ended, done = process.poll(), count
        failure = broken[0] if broken else "" if ended is None else f"it ended with {ended}"
        heap = np.loadtxt(Path(temporary) / "heap.csv", delimiter=",", ndmin=2)
        process.send_signal(signal.SIGTERM)
        process.wait()
    hours, memory, files = np.array(notes).T
    heap = heap[heap[:, 0] > begun]
    times, used, free = (heap[:, 0] - begun) / 3600, heap[:, 1] / 2**20, heap[:, 2] / 2**20
    return {
        "model": model,
        "minutes": round(60 * float(hours[-1]), 1),
        "ceiling_gib": ceiling,
        "rounds" if what == "sweep" else "answers": done,
        "failure": failure,
        "memory_mib": ends(memory),
        "malloc_mib": {
            "in_use": ends(used),
            "free": ends(free),
            "in_use_slope": slope(times, used),
        },
        "files": ends(files),
        "memory_mib_slope": slope(hours, memory),
        "files_slope": slope(hours, files),
    }


if __name__ == "__main__":
    run(measure)
