"""The closed table of methods."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from litelvlm.names import check_name, unknown_name
from litelvlm.pruning.base import Pruner
from litelvlm.pruning.methods.altp_like import AltpLike
from litelvlm.pruning.methods.block_loo import BlockLoo
from litelvlm.pruning.methods.box_oracle import BoxOracle
from litelvlm.pruning.methods.cdpruner import CDPruner
from litelvlm.pruning.methods.centre_distance import CentreDistance
from litelvlm.pruning.methods.cls_cosine import ClsCosine
from litelvlm.pruning.methods.dart import Dart
from litelvlm.pruning.methods.divprune import DivPrune
from litelvlm.pruning.methods.evtp_iv_like import EvtpIvLike
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.fastv import FastV
from litelvlm.pruning.methods.holov import HoloV
from litelvlm.pruning.methods.ivc_add_on import IvcAddOn, IvcLayerAddOn
from litelvlm.pruning.methods.ivc_prune import IvcPrune
from litelvlm.pruning.methods.litelvlm import LiteLVLM
from litelvlm.pruning.methods.llm_attention import LlmAttention
from litelvlm.pruning.methods.llm_gradient import LlmGradient
from litelvlm.pruning.methods.lvlm_csp_like import LvlmCspLike
from litelvlm.pruning.methods.mask_oracle import InverseMaskOracle, MaskOracle
from litelvlm.pruning.methods.nuwa import Nuwa
from litelvlm.pruning.methods.pooling import AvgPool, Bilinear
from litelvlm.pruning.methods.prumerge_plus import PruMergePlus
from litelvlm.pruning.methods.pyramiddrop import PyramidDrop
from litelvlm.pruning.methods.random import Random
from litelvlm.pruning.methods.restore import Restore
from litelvlm.pruning.methods.reverse import LayerReverse, Reverse
from litelvlm.pruning.methods.scope import Scope
from litelvlm.pruning.methods.similarity import HighSimilarity, LowSimilarity
from litelvlm.pruning.methods.sparsevlm import SparseVLM
from litelvlm.pruning.methods.sparsevlm_plus import SparseVLMPlus
from litelvlm.pruning.methods.tome import ToMe
from litelvlm.pruning.methods.trim import Trim
from litelvlm.pruning.methods.uniform import Uniform
from litelvlm.pruning.methods.unpruned import Unpruned
from litelvlm.pruning.methods.value_norm import ValueNorm
from litelvlm.pruning.methods.visionzip import VisionZip
from litelvlm.pruning.methods.vispruner import VisPruner
from litelvlm.pruning.methods.with_uniform import WithUniform

METHODS: tuple[type[Pruner], ...] = (
    LiteLVLM,
    LowSimilarity,
    HighSimilarity,
    Trim,
    CDPruner,
    DivPrune,
    Scope,
    FasterVLM,
    VisPruner,
    VisionZip,
    PruMergePlus,
    HoloV,
    Nuwa,
    AltpLike,
    EvtpIvLike,
    ToMe,
    FastV,
    PyramidDrop,
    Dart,
    SparseVLM,
    SparseVLMPlus,
    IvcPrune,
    LvlmCspLike,
    AvgPool,
    Bilinear,
    ValueNorm,
    ClsCosine,
    CentreDistance,
    Reverse,
    LayerReverse,
    WithUniform,
    Restore,
    IvcAddOn,
    IvcLayerAddOn,
    Random,
    Uniform,
    MaskOracle,
    BoxOracle,
    InverseMaskOracle,
    LlmAttention,
    LlmGradient,
    BlockLoo,
    Unpruned,
)

# What every method has as a preset: the positions that grounding-aware position ids (GAP) ask for.
GAP: Mapping[str, Any] = MappingProxyType({"order": "raster", "positions": "original"})

_TABLE: Mapping[str, type[Pruner]] = MappingProxyType({method.name: method for method in METHODS})


def list_pruners() -> Mapping[str, type[Pruner]]:
    """Every method: name to class, in the order of the tables. Classes carry ``summary``, ``needs`` and ``presets``."""
    return _TABLE


def get_pruner(name: str, preset: str = "faithful", **options: Any) -> Pruner:
    """Build a method from its name, a preset and its fields.

    Args:
        name: One of ``list_pruners()``.
        preset: "faithful" (the released code), "gap" (the same tokens in raster order at their
            original positions, arXiv 2506.21873) or one of the class's ``presets``.
        **options: Fields of the class, over the preset's. A field that is a method itself may be
            its name, its name and preset ("fastv:matched"), or the plain data of its ``config()``.

    Raises:
        ValueError: If the name, the preset, a field or a value is not allowed; the message names
            what is.

    Example:
        >>> get_pruner("litelvlm", order="raster").config()["order"]
        'raster'
        >>> get_pruner("reverse", of="value_norm").of.name
        'value_norm'
        >>> get_pruner("with_uniform", of="nuwa:stage1").of.stage1_only
        True
    """
    cls = _TABLE[check_name(name, _TABLE, "pruner")]
    presets: Mapping[str, Mapping[str, Any]] = {"faithful": {}, "gap": GAP, **cls.presets}
    check_name(preset, presets, f"{name} preset")
    allowed = [entry.name for entry in fields(cls)]
    for option in options:
        if option not in allowed:
            raise unknown_name(option, allowed, f"{name} field")
    settings = {**presets[preset], **options}
    inner = settings.get("of")
    if isinstance(inner, str):
        held, _, its_preset = inner.partition(":")
        settings["of"] = get_pruner(held, its_preset or "faithful")
    elif isinstance(inner, Mapping):
        settings["of"] = get_pruner(**inner)
    cls.check_options(settings)
    return cls(**settings)
