"""The device that a run would use: its name, its memory and its speed at matrix products."""

import os
import platform
from time import perf_counter
from typing import NamedTuple

import torch


class Device(NamedTuple):
    """One device.

    Attributes:
        kind: "cuda" or "cpu".
        name: As the driver or the processor calls it.
        memory: Bytes it has.
        macs_per_second: Multiply-adds per second of a large matrix product in bfloat16, measured.
    """

    kind: str
    name: str
    memory: int
    macs_per_second: float


def see_device(wanted: str = "auto") -> Device:
    """Look at the device that would be used, and time matrix products on it for a moment.

    Args:
        wanted: "auto" takes a GPU when there is one; "cpu" or "cuda".

    Raises:
        ValueError: If a GPU is wanted and there is none.
    """
    gpu = torch.cuda.is_available()
    if wanted == "cuda" and not gpu:
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    if gpu and wanted != "cpu":
        facts = torch.cuda.get_device_properties(0)
        return Device("cuda", facts.name, facts.total_memory, _speed("cuda", 8192, 20))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    name = platform.processor() or platform.machine()
    return Device(
        "cpu", f"{name}, {torch.get_num_threads()} threads", memory, _speed("cpu", 512, 3)
    )


def _speed(kind: str, side: int, rounds: int) -> float:
    """Multiply-adds per second of a square product, the fastest of some rounds."""
    left = torch.ones((side, side), dtype=torch.bfloat16, device=kind)
    times = []
    for _ in range(rounds + 1):
        start = perf_counter()
        float((left @ left)[0, 0])  # reading a number waits for the device
        times.append(perf_counter() - start)
    return float(side**3 / min(times[1:]))
