"""Fewer bits for the language model's weights, and for nothing else."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType

import torch
from torch import nn
from transformers import LlamaForCausalLM

from litelvlm.names import check_name

BACKEND = "bitsandbytes"
WAYS: Mapping[str, str] = MappingProxyType(
    {
        "int8": "8 bits, outliers in float16",
        "nf4": "4 bits, levels of a normal distribution",
        "nf4_double": "the same, its scales in 8 bits",
        "fp4": "4 bits, floating point",
    }
)
"""Ways to store a weight; activations stay in the model's number type."""
SKIPPED = ("lm_head",)
"""Layers of the language model that keep their weights."""


def check_quantise(way: str | None) -> str | None:
    """Return a way to quantise, or None, if it can be used here.

    Raises:
        ValueError: If it is unknown, or the package that does it is not installed.
    """
    if way is None:
        return None
    check_name(way, WAYS, "way to quantise")
    if find_spec(BACKEND) is None:
        raise ValueError(
            f"quantise={way!r} needs the package {BACKEND}, which is not installed; run: "
            "pip install 'bitsandbytes>=0.50', or leave out quantise to keep every bit"
        )
    return way


def quantise_language_model(
    llama: LlamaForCausalLM, way: str, device: torch.device
) -> LlamaForCausalLM:
    """Replace the weights of every linear layer but the head, in place.

    CLIP, SAM, the projector and the seg head keep theirs. The weights are packed when they reach
    the device.

    Args:
        llama: The language model, on any device.
        way: A name in ``WAYS``.
        device: Where it is to run.

    Raises:
        ValueError: As ``check_quantise``.
    """
    check_quantise(way)
    backend = import_module(BACKEND)
    linear = [
        (name, module)
        for name, module in llama.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith(SKIPPED)
    ]
    for name, module in linear:
        parent, _, own = name.rpartition(".")
        packed = packed_linear(backend, module, way).to(device)
        setattr(llama.get_submodule(parent), own, packed)
    return llama


def packed_linear(backend: ModuleType, module: nn.Linear, way: str) -> nn.Module:
    """A linear layer whose weight is packed once it is moved to a device."""
    sizes = (module.in_features, module.out_features, module.bias is not None)
    weight = module.weight.data
    if way == "int8":
        layer: nn.Module = backend.nn.Linear8bitLt(*sizes, has_fp16_weights=False, threshold=6.0)
        layer.weight = backend.nn.Int8Params(
            weight.cpu(), requires_grad=False, has_fp16_weights=False
        )
    else:
        kind, double = way.removesuffix("_double"), way.endswith("_double")
        layer = backend.nn.Linear4bit(
            *sizes, compute_dtype=weight.dtype, quant_type=kind, compress_statistics=double
        )
        layer.weight = backend.nn.Params4bit(
            weight.cpu(), requires_grad=False, quant_type=kind, compress_statistics=double
        )
    if module.bias is not None:
        layer.bias = nn.Parameter(module.bias.data, requires_grad=False)
    return layer


def weight_bytes(module: nn.Module) -> int:
    """Bytes of a component's parameters and buffers, packed ones as they lie in memory."""
    held = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)
