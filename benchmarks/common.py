"""What every benchmark prints and stores: numbers, command, commit, machine and versions.

``Kept`` lets a benchmark of several measurements go on where it was stopped.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

OWN = Path(__file__).parent
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", OWN / "results"))
"""Where results go; the environment can name another folder."""
# A script's own folder stands first on the path, where statistics.py would hide the standard
# library's module; at the end it hides nothing.
_OWN = [entry for entry in sys.path if Path(entry or ".").resolve() == OWN.resolve()]
sys.path[:] = [entry for entry in sys.path if entry not in _OWN] + _OWN
sys.path.append(str(OWN.parent))

from benchmarks.sources import code_state, sources_digest  # noqa: E402  # the folder above is on the path now


def machine() -> dict[str, Any]:
    """Processor, cores, threads, GPU and versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def no_options(description: str | None) -> None:
    """Answer ``--help`` and refuse everything else, for a benchmark that takes no options.

    Args:
        description: What the benchmark does.
    """
    raw = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=description, formatter_class=raw).parse_args()


def timing_parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A command line with a model, a device, budgets and rounds.

    Args:
        description: What the benchmark does.
        rounds: Its timed rounds where none are named.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="glamm-7b")
    parser.add_argument("--random-init", action="store_true")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--budgets", type=int, nargs="+", default=[192, 128, 64])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--warm-up", type=int, default=4)
    return parser


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return {"median": float(mid), "q25": float(low), "q75": float(high), "runs": len(values)}


def kept_path(name: str) -> Path:
    """Where the measurements of a benchmark lie that is not finished (``Kept``)."""
    return RESULTS / f"{name}.kept.jsonl"


def store(name: str, numbers: Mapping[str, Any]) -> None:
    """Write ``results/<name>.json``, print it, and remove what was kept to go on with."""
    command = "python " + " ".join(Path(a).as_posix() for a in sys.argv)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        **code_state(),
        "machine": machine(),
        **numbers,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    kept_path(name).unlink(missing_ok=True)
    print(text)


class Kept:
    """Measurements of one benchmark, each stored as soon as it is done, beside its result.

    A benchmark of several independent measurements asks it for each of them. When the benchmark
    was stopped and begins again, those that are stored are not made again. ``store`` removes them.

    They belong to one command, one machine, and one state of the sources; others are dropped, so
    that no result mixes two of them.

    Args:
        name: Of the result.

    Attributes:
        n_read: Measurements that were there.
        n_made: Measurements that were made.
    """

    def __init__(self, name: str) -> None:
        self.path = kept_path(name)
        self.n_read = self.n_made = 0
        origin = {"command": sys.argv, "machine": machine(), "sources": sources_digest()}
        self._origin = json.dumps(origin)
        self._known = self._read()

    def __call__(self, key: str, measure: Callable[[], Any]) -> Any:
        """The measurement of this name: read if it is stored, else made and stored.

        Args:
            key: Its name, unique in the benchmark.
            measure: Makes it; the result is what JSON makes of it.
        """
        if key in self._known:
            self.n_read += 1
            return self._known[key]
        line = json.dumps([key, measure()])
        self.n_made += 1
        if not self._known:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self._origin + "\n", encoding="utf-8")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._known[key] = json.loads(line)[1]
        return self._known[key]

    def _read(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        origin, *lines = self.path.read_text(encoding="utf-8").splitlines() or [""]
        if origin != self._origin:
            print(f"{self.path.name}: of another command, machine or code; measured anew")
            return {}
        found = {}
        for line in lines:
            try:
                key, value = json.loads(line)
            except ValueError:  # cut off when the process was killed
                break
            found[key] = value
        self.path.write_text(
            "\n".join([origin, *(json.dumps([*pair]) for pair in found.items())]) + "\n",
            encoding="utf-8",
        )
        print(f"{self.path.name}: {len(found)} measurements are there already", flush=True)
        return found
