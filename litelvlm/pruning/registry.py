"""The closed table of methods."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from litelvlm.names import check_name, unknown_name
from litelvlm.pruning.altp_like import AltpLike
from litelvlm.pruning.base import Pruner
from litelvlm.pruning.block_loo import BlockLoo
from litelvlm.pruning.box_oracle import BoxOracle
from litelvlm.pruning.cdpruner import CDPruner
from litelvlm.pruning.centre_distance import CentreDistance
from litelvlm.pruning.cls_cosine import ClsCosine
from litelvlm.pruning.dart import Dart
from litelvlm.pruning.divprune import DivPrune
from litelvlm.pruning.evtp_iv_like import EvtpIvLike
from litelvlm.pruning.fastervlm import FasterVLM
from litelvlm.pruning.fastv import FastV
from litelvlm.pruning.holov import HoloV
from litelvlm.pruning.ivc_add_on import IvcAddOn, IvcLayerAddOn
from litelvlm.pruning.ivc_prune import IvcPrune
from litelvlm.pruning.litelvlm import LiteLVLM
from litelvlm.pruning.llm_attention import LlmAttention
from litelvlm.pruning.llm_gradient import LlmGradient
from litelvlm.pruning.lvlm_csp_like import LvlmCspLike
from litelvlm.pruning.nuwa import Nuwa
from litelvlm.pruning.oracle import InverseMaskOracle, MaskOracle
from litelvlm.pruning.pooling import AvgPool, Bilinear
from litelvlm.pruning.prumerge_plus import PruMergePlus
from litelvlm.pruning.pyramiddrop import PyramidDrop
from litelvlm.pruning.random import Random
from litelvlm.pruning.restore import Restore
from litelvlm.pruning.reverse import LayerReverse, Reverse
from litelvlm.pruning.scope import Scope
from litelvlm.pruning.similarity import HighSimilarity, LowSimilarity
from litelvlm.pruning.sparsevlm import SparseVLM
from litelvlm.pruning.sparsevlm_plus import SparseVLMPlus
from litelvlm.pruning.tome import ToMe
from litelvlm.pruning.trim import Trim
from litelvlm.pruning.uniform import Uniform
from litelvlm.pruning.unpruned import Unpruned
from litelvlm.pruning.value_norm import ValueNorm
from litelvlm.pruning.visionzip import VisionZip
from litelvlm.pruning.vispruner import VisPruner
from litelvlm.pruning.with_uniform import WithUniform

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
        preset: "faithful" (the released code), "gap" (the same tokens in raster order at their original positions,
            arXiv 2506.21873) or one of the class's ``presets``.
        **options: Fields of the class, over the preset's. A field that is a method itself may be its name, its name
            and preset ("fastv:matched"), or the plain data of its ``config()``.

    Raises:
        ValueError: If the name, the preset, a field or a value is not allowed; the message names what is.

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
