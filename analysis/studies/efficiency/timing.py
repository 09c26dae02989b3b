"""What a call costs: time, operations and memory, on a CPU or a GPU."""

import resource
from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from litelvlm.arrays import Array

END, PREFILL, DECODE = "end_to_end", "llm", "decode"
"""Components that are timed as a whole."""
RESAMPLES = 2000
"""Resamples of the rounds for the interval of a ratio."""


def decode_time(generate: Callable[[Callable[[int], bool]], object], device: torch.device) -> float:
    """Milliseconds per generated token after the first, whose time is that of the prompt.

    Args:
        generate: Generates an answer; calls its argument after each token but the last.
        device: Where.

    Raises:
        ValueError: If it calls its argument less than twice.
    """
    stamps: list[float] = []

    def stop(_: int) -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        stamps.append(perf_counter())
        return False

    generate(stop)
    if len(stamps) < 2:
        raise ValueError(
            f"{len(stamps)} tokens before the last are too few to time one; generate at least 3"
        )
    return 1e3 * (stamps[-1] - stamps[0]) / (len(stamps) - 1)


def counted_macs(parts: Mapping[str, Callable[[], object]]) -> dict[str, int]:
    """Run each part once under torch's counter; returns half of its FLOPs (two per multiply-add).

    The counter knows matrix products and convolutions, and takes any other operation as free.
    Attention runs as plain matrix products here, since not every release of torch knows the fused
    kernels of every device.
    """
    found = {}
    for name, call in parts.items():
        with (
            FlopCounterMode(display=False) as counter,
            torch.inference_mode(),
            sdpa_kernel(SDPBackend.MATH),
        ):
            call()
        found[name] = counter.get_total_flops() // 2
    return found


def peak_memory(call: Callable[[], object], device: torch.device) -> dict[str, int]:
    """Peak bytes of one call.

    On a GPU these are the peak above what was there, the whole peak and the reserved memory. On a
    CPU it is the peak of the process so far, weights and libraries included; it never falls.
    """
    if device.type != "cuda":
        call()
        return {"rss_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device)
    return {
        "peak_above": peak - before,
        "peak": peak,
        "reserved": torch.cuda.max_memory_reserved(device),
    }


class WrittenBytes(TorchDispatchMode):
    """Adds up the bytes of every new tensor that operators write while it is on; views are not new.

    Attributes:
        total: Bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(  # type: ignore[explicit-any]  # operators share no signature
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operator and count what it made."""
        out = func(*args, **(kwargs or {}))
        known = {t.untyped_storage().data_ptr() for t in args if isinstance(t, Tensor)}
        for made in out if isinstance(out, tuple | list) else (out,):
            if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in known:
                self.total += made.nbytes
        return out


def median_ratio(first: Array, second: Array) -> tuple[float, float, float]:
    """Ratio of two medians with its 95 % interval, rounds resampled.

    Args:
        first: One value per round.
        second: One value of the same round each, so that drifts of the machine cancel.

    Example:
        >>> median_ratio(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))[0]
        2.0
    """
    rounds = np.random.default_rng(0).integers(0, len(first), (RESAMPLES, len(first)))
    draws = np.median(first[rounds], axis=1) / np.median(second[rounds], axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(np.median(first) / np.median(second)), float(low), float(high)
