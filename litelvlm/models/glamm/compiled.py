"""torch.compile or CUDA graphs for the parts that run with the same shapes again and again.

These are the blocks of both image towers, whose shapes never change, and the layers of the language
model where it reads a whole prompt. Passes that continue a known beginning, and generated tokens,
stay as they are: their shapes change with every batch.
"""

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

import torch
from torch import nn

from litelvlm.models.glamm.graphs import CUDA_GRAPHS, CudaGraphs, record_parts
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.names import check_name

BACKENDS: Mapping[str, str] = MappingProxyType(
    {
        "inductor": "fused kernels, built on this machine when a shape is first seen",
        "aot_eager": "the traced graphs with torch's own kernels, to check what is traced",
        "eager": "the same, traced forward only",
        CUDA_GRAPHS: "no compiler: kernels as they are, recorded when a shape comes again",
    }
)
"""What may be named; all but the last are backends of ``torch.compile``."""
_VARIANTS = 64  # graphs of one function: towers, prompt lengths, hooks
COMPILERS = ("c++", "g++", "clang++", "cl")


def check_compile(backend: str | None, device: torch.device, attn: str = "sdpa") -> str | None:
    """Return a backend, or None, if it can be used here.

    Args:
        backend: One of ``BACKENDS``.
        device: Where the model will be.
        attn: Its attention kernel.

    Raises:
        ValueError: If it is unknown, what builds its kernels is not installed, or CUDA graphs are
            asked for on another device than a GPU or with a kernel that waits for the processor.
    """
    if backend is None:
        return None
    check_name(backend, BACKENDS, "backend of compile")
    if backend == CUDA_GRAPHS:
        _check_graphs(device, attn)
    if backend != "inductor":
        return backend
    named = os.environ.get("CXX")
    if not any(map(shutil.which, (named,) if named else COMPILERS)):
        looked = f"CXX names {named!r}" if named else f"looked for {', '.join(COMPILERS)}"
        raise ValueError(
            f"compile='inductor' needs a C++ compiler, and none is here ({looked}); install one, "
            "or leave out compile"
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise ValueError(
            "compile='inductor' needs the package triton on a GPU, which is not installed; run: "
            "pip install triton, or leave out compile"
        )
    return backend


def _check_graphs(device: torch.device, attn: str) -> None:
    if device.type != "cuda":
        others = ", ".join(repr(name) for name in BACKENDS if name != CUDA_GRAPHS)
        raise ValueError(
            f"compile={CUDA_GRAPHS!r} records the kernels of a GPU, and the device is "
            f"{device.type!r}; use device='cuda', take one of {others}, or leave out compile"
        )
    if attn != "sdpa":
        raise ValueError(
            f"compile={CUDA_GRAPHS!r} goes with attention kernel 'sdpa' alone, got {attn!r}: other "
            "kernels wait for the processor, which cannot be recorded; use attn='sdpa', or leave "
            "out compile"
        )


def compile_parts(model: GlammNetwork, backend: str) -> None:
    """Let the repeated parts of a model be compiled or recorded, in place, each when it first runs.

    Masks equal those of the plain model up to the order of additions (logits to 1e-3 in float32).

    Args:
        model: The model.
        backend: One of ``BACKENDS``.
    """
    if backend == CUDA_GRAPHS:
        record_parts(model, CudaGraphs())
        return
    # Studies hook modules inside the blocks: graphs traced without hooks must not serve then. Every
    # block and every set of hooks counts against one limit.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    torch._dynamo.config.recompile_limit = max(_VARIANTS, torch._dynamo.config.recompile_limit)
    compile_blocks(model.tower.clip.vision_model.encoder.layers, backend)
    compile_blocks(model.sam.vision_encoder.layers, backend)
    for layer in model.llama.model.layers:
        layer.compile(backend=backend)  # prompts differ in length: torch finds the axis that does
    model.compiled = backend
    model.rename(f" ({backend})")


def compile_blocks(blocks: nn.ModuleList, backend: str, mode: str | None = None) -> None:
    """Compile blocks of an image tower in place; equal ones share their kernels.

    Args:
        blocks: They see a few shapes only, so that each is compiled by itself.
        backend: One of ``BACKENDS``.
        mode: Of ``torch.compile``.
    """
    for block in blocks:
        block.compile(backend=backend, dynamic=False, mode=mode)
