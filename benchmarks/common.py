"""What every benchmark prints and stores: numbers, command, machine and versions."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
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


def store(name: str, numbers: Mapping[str, Any]) -> None:
    """Write ``results/<name>.json`` and print it."""
    command = "python " + " ".join(Path(a).as_posix() for a in sys.argv)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": machine(),
        **numbers,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
