"""Operations of a call, counted by torch."""

from collections.abc import Callable, Mapping

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


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
