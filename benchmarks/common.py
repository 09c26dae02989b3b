"""What every benchmark shares: options from its arguments, and a result with its origin.

A benchmark is a function. Its arguments are the options of its command line, and what it returns is
written to ``results/NAME.json`` with command, commit, machine and versions.
"""

import argparse
import inspect
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch
import transformers

OWN = Path(__file__).resolve().parent
ROOT = OWN.parent
RESULTS = OWN / "results"
# A script's own folder stands first on the path, where statistics.py would hide the standard
# library's module; at the end it hides nothing.
_OWN = [entry for entry in sys.path if Path(entry or ".").resolve() == OWN]
sys.path[:] = [entry for entry in sys.path if entry not in _OWN] + _OWN
sys.path.append(str(ROOT))


def machine() -> dict[str, Any]:
    """Processor, cores, threads, GPU and versions."""
    model, cpuinfo = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def code_state() -> dict[str, Any]:
    """Commit, and whether the code is that of the commit, results aside; None without git."""

    def git(*words: str) -> str:
        command = [shutil.which("git") or "git", "-C", str(ROOT), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        except FileNotFoundError:
            return ""
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return {"commit": commit or None, "clean": not changes if commit else None}


def peak_bytes(device: torch.device) -> int:
    """Most memory held so far: of the process on a CPU, of torch on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return {"median": float(mid), "q25": float(low), "q75": float(high), "runs": len(values)}


def within(minutes: float, rounds: int) -> Iterator[int]:
    """Numbers of rounds: the wanted ones, or as many as begin within the time; at least one."""
    begun = perf_counter()
    for number in range(rounds):
        if number and perf_counter() - begun > 60 * minutes:
            return
        yield number


def command() -> str:
    """How this process was started, without folders of this machine."""
    script, *words = sys.argv
    path = Path(script).resolve()
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return " ".join(["python", name, *words])


def store(name: str, numbers: Mapping[str, Any], folder: Path | None = None) -> None:
    """Write ``NAME.json`` into a folder, ``RESULTS`` if none is named, and print it."""
    origin = {"date": datetime.now(UTC).date().isoformat(), "command": command()}
    text = json.dumps({**origin, **code_state(), "machine": machine(), **numbers}, indent=1)
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def options(measure: Callable[..., object]) -> dict[str, Any]:
    """Read the arguments of a function from the command line.

    An argument without a default must be given, one of fixed words by its place. A tuple takes
    several words; a default of False is a switch, of None a text.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        description=inspect.getmodule(measure).__doc__, formatter_class=raw
    )
    for name, parameter in inspect.signature(measure).parameters.items():
        flag, default = f"--{name.replace('_', '-')}", parameter.default
        if words := get_args(parameter.annotation) if default is inspect.Parameter.empty else ():
            parser.add_argument(name, choices=words)
        elif default is inspect.Parameter.empty:
            parser.add_argument(flag, required=True, type=parameter.annotation)
        elif default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, tuple):
            kind = type(default[0]) if default else str
            parser.add_argument(flag, nargs="*", type=kind, default=default, metavar="VALUE")
        else:
            kind = str if default is None else type(default)
            parser.add_argument(flag, type=kind, default=default, help=f"default: {default}")
    return vars(parser.parse_args())


def run(measure: Callable[..., Mapping[str, Any]]) -> None:
    """Run a benchmark from the command line and store what it returns under the script's name.

    Another model or device than the default becomes part of the name, and so does a word that is
    given by its place.
    """
    given = options(measure)
    name = Path(sys.argv[0]).stem
    for key, parameter in inspect.signature(measure).parameters.items():
        names = key in ("model", "device") or get_origin(parameter.annotation) is Literal
        if names and given[key] not in (None, parameter.default):
            name += f"_{Path(given[key]).name}"
    store(name, measure(**given))
