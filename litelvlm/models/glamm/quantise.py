"""Fewer bits for the language model's weights, and for nothing else."""

from collections.abc import Iterator, Mapping
from copy import copy, deepcopy
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.names import check_name

Network = TypeVar("Network", bound=GlammNetwork)
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


def suffix(way: str | None) -> str:
    """What fewer bits add to the name of a model."""
    return "" if way is None else f" ({way})"


def is_quantised(llama: LlamaForCausalLM) -> bool:
    """Whether a language model holds packed weights."""
    return any(not parameter.is_floating_point() for parameter in llama.parameters())


def with_quantised_language_model(model: Network, way: str) -> Network:
    """A model of the same parts whose language model has fewer bits; this model does not change.

    All parts but the packed weights are shared, so memory grows by these alone.

    Args:
        model: A GLaMM that has all its bits.
        way: A name in ``WAYS``.

    Raises:
        ValueError: As ``check_quantise``, or if the model is quantised already.
    """
    if is_quantised(model.llama):
        raise ValueError(
            f"the language model of {model.name!r} is quantised already; load the model without "
            "quantise="
        )
    other, llama = copy(model), model.llama
    held: list[Tensor] = [*llama.parameters(), *llama.buffers()]
    shared = deepcopy(llama, {id(tensor): tensor for tensor in held})
    other._modules = dict(model._modules)
    other.llama = quantise_language_model(shared, way, model.device)
    other._plain_name = f"{model._plain_name}{suffix(way)}"
    other.name = f"{other._plain_name}{model.options}"
    return other


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
    """Bytes of a component's parameters, buffers and scales, packed ones as they lie in memory."""
    held = [*module.parameters(), *module.buffers(), *_scales(module)]
    found = {tensor.untyped_storage().data_ptr(): tensor for tensor in held}
    return sum(tensor.numel() * tensor.element_size() for tensor in found.values())


def _scales(module: nn.Module) -> Iterator[Tensor]:
    """What packed weights are scaled with, which is no parameter of its own."""
    for layer in module.modules():
        # int8 keeps its scales at the weight, and from the first pass on at the layer.
        holders = [getattr(layer, "state", None)]
        for weight in layer.parameters(recurse=False):
            packed = getattr(weight, "quant_state", None)
            holders += [weight, packed, getattr(packed, "state2", None)]
        for holder in holders:
            for name in ("SCB", "absmax", "code", "offset"):
                tensor = getattr(holder, name, None)
                if isinstance(tensor, Tensor):
                    yield tensor
