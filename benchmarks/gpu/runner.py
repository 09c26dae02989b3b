"""Runs one part of the GPU programme and keeps its answer: exit status, clocks, version, output."""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from subprocess import Popen
from typing import Any

from benchmarks.gpu.needs import BASE, CARRIED, read
from benchmarks.gpu.parts import Part
from benchmarks.sources import code_state

ROOT = Path(__file__).parents[2]
OUT = ROOT / "benchmarks" / "results" / "gpu"
RECORD, SUMMARY = "part.json", "summary.json"
_QUERY = "name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw,memory.used"
_TAIL = 4_000


def clocks() -> list[str]:
    """One line per GPU: name, driver, clocks, temperature, power, memory; empty without one."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip().splitlines()


def gpu_of(record: Mapping[str, Any]) -> str:
    """Name of the GPU that a part ran on."""
    before: list[str] = record["clocks_before"]
    return before[0].split(",")[0] if before else "no GPU"


def is_done(folder: Path, command: list[str]) -> bool:
    """Whether the folder holds this part's answer, to the same command."""
    record = folder / RECORD
    if not record.is_file():
        return False
    stored = json.loads(record.read_text(encoding="utf-8"))
    return stored["state"] == "done" and stored["command"] == shown(command, folder)


def shown(command: list[str], folder: Path) -> list[str]:
    """The command without paths of this machine."""
    named = ["python" if word == sys.executable else word for word in command]
    return [word.replace(str(folder), "OUT") for word in named]


def run_part(part: Part, out: Path, tiny: bool = False, again: bool = False) -> str:
    """Run a part in a process of its own unless its answer is stored.

    Args:
        part: What to run.
        out: Folder of all parts; this one's is below it.
        tiny: Its dry form.
        again: Run it even if its answer is stored.

    Returns:
        "kept" for a stored answer, else "done", "failed" or "stopped" by the time limit.
    """
    folder = (out / part.name).resolve()
    template = part.tiny if tiny else part.command
    words = shlex.split(template)
    command = [sys.executable, *(word.replace("{out}", str(folder)) for word in words)]
    if not again and is_done(folder, command):
        return "kept"
    folder.mkdir(parents=True, exist_ok=True)
    if again:
        for stored in folder.glob("*.kept.jsonl"):
            stored.unlink()
    before, started = clocks(), time.perf_counter()
    log = folder / "output.txt"
    with log.open("w", encoding="utf-8") as stream:
        process = Popen(
            command,
            cwd=ROOT,
            env=_environment(folder),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code = _wait(process, 60 * part.minutes)
    state = {0: "done", None: "stopped"}.get(code, "failed")
    record = {
        "part": part.name,
        "asks": part.asks,
        "state": state,
        "exit": code,
        "command": shown(command, folder),
        "tiny": tiny,
        "seconds": round(time.perf_counter() - started, 1),
        "clocks_before": before,
        "clocks_after": clocks(),
        "python": platform.python_version(),
        **code_state(),
        "tail": log.read_text(encoding="utf-8", errors="replace")[-_TAIL:],
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return state


def write_summary(out: Path, states: Mapping[str, str]) -> Path:
    """One small file about all parts in a folder, and the versions that the last call had.

    A part keeps the commit and the GPU that it ran on, whatever the last call ran on.

    Args:
        out: Folder of all parts.
        states: What ``run_part`` returned, by part of the last call.
    """
    records = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(out.glob(f"*/{RECORD}"))
    }
    last = records[next(reversed(states))]
    summary = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python -m benchmarks.gpu" + (" --tiny" if last["tiny"] else ""),
        **code_state(),
        "python": platform.python_version(),
        "packages": _versions(),
        "gpus": clocks(),
        "parts": {
            name: {
                "state": states.get(name, record["state"]),
                "asks": record["asks"],
                "seconds": record["seconds"],
                "commit": record["commit"],
                "clean": record["clean"],
                "gpu": gpu_of(record),
            }
            for name, record in records.items()
        },
    }
    path = out / SUMMARY
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return path


def _versions() -> dict[str, str | None]:
    """Versions of both lists; None for a package that is not there."""
    versions: dict[str, str | None] = {}
    for name in sorted(wanted.name for path in (BASE, CARRIED) for wanted in read(path)):
        try:
            found = distribution(name)
            versions[found.metadata["Name"]] = found.version
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _environment(folder: Path) -> Mapping[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "BENCHMARK_RESULTS": str(folder)}
    return os.environ | own | {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}


def _wait(process: Popen[bytes], seconds: float) -> int | None:
    """Exit status; None if the time was over and the process was ended, gently first."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        for sign in (signal.SIGINT, signal.SIGKILL):
            os.killpg(process.pid, sign)
            try:
                process.wait(20)
                break
            except subprocess.TimeoutExpired:
                continue
        return None
