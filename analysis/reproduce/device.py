"""The device that a run would use: its name, its memory and its speed at matrix products."""

import os
import platform
from time import perf_counter
from typing import NamedTuple

import torch
import torch.nn.functional as F

from litelvlm.number_types import number_type


class Device(NamedTuple):
    """One device.

    Attributes:
        kind: "cuda" or "cpu".
        name: As the driver or the processor calls it.
        memory: Bytes it has.
        macs_per_second: Multiply-adds per second of matrix products, measured.
        dtype: Number type of those products, the one that the model runs in.
    """

    kind: str
    name: str
    memory: int
    macs_per_second: float
    dtype: str = "bfloat16"


def see_device(wanted: str, dtype: str) -> Device:
    """Look at the device that would be used, and time matrix products on it for a moment.

    Args:
        wanted: "auto" takes a GPU when there is one; "cpu" or "cuda".
        dtype: "float32", "bfloat16" or "float16".

    Raises:
        ValueError: If a GPU is wanted and there is none.
    """
    gpu = torch.cuda.is_available()
    if wanted == "cuda" and not gpu:
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    if gpu and wanted != "cpu":
        facts = torch.cuda.get_device_properties(0)
        speed = _speed("cuda", dtype, 8192, 8192, 20)
        return Device("cuda", facts.name, facts.total_memory, speed, dtype)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    threads = torch.get_num_threads()
    name = f"{platform.processor() or platform.machine()}, {threads} thread{'s' * (threads > 1)}"
    return Device("cpu", name, memory, _speed("cpu", dtype, 256, 1024, 3), dtype)


def _speed(kind: str, dtype: str, length: int, width: int, rounds: int) -> float:
    """Multiply-adds per second of a linear layer on so many tokens, the fastest of some rounds."""
    type_ = number_type(dtype)
    tokens = torch.ones((length, width), dtype=type_, device=kind)
    weight = torch.ones((width, width), dtype=type_, device=kind)
    times = []
    for _ in range(rounds + 1):
        start = perf_counter()
        float(F.linear(tokens, weight)[0, 0])  # reading a number waits for the device
        times.append(perf_counter() - start)
    return float(length * width**2 / min(times[1:]))
