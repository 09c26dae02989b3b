"""What finished parts of the GPU programme found, read from their files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.runner import RECORD
from benchmarks.gpu.tables import clock_of

WAYS = ("prefill-sdpa", "prefill-eager", "int8", "nf4")
"""Parts that time the prefill of the language model by ``bench``."""
UNPRUNED, OURS = "none", "litelvlm"


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def result_of(folder: Path) -> dict[str, Any] | None:
    """The result of a finished part; None where there is none."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != RECORD]
    if not paths or not (folder / RECORD).is_file() or read(folder / RECORD)["state"] != "done":
        return None
    return read(paths[0])


def prefills(out: Path) -> Iterator[tuple[str, list[tuple[int, float, float, float]]]]:
    """By way: visual tokens and median prefill with quartiles.

    Of the paper's method, and of the unpruned model where all tokens are kept.
    """
    for name in WAYS:
        found = result_of(out / name)
        if found is None:
            continue
        points: dict[int, tuple[int, float, float, float]] = {}
        for budget in found["budgets"].values():
            clock = clock_of(budget["times"])
            for row in sorted(budget["times"], key=lambda row: row["method"] != UNPRUNED):
                chosen = (row["component"], row["metric"]) == ("llm", clock)
                if chosen and row["method"] in (UNPRUNED, OURS):
                    points.setdefault(row["k"], (row["k"], row["value"], row["q25"], row["q75"]))
        yield name, sorted(points.values())
    found = result_of(out / "compiled")
    if found is not None:
        times = {int(k): ways["compiled"]["prefill"] for k, ways in found["milliseconds"].items()}
        yield "compiled", sorted((k, t["median"], t["q25"], t["q75"]) for k, t in times.items())
