"""The table of methods, how one is spelled, and how it is built; classes load at first use."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from litelvlm.names import check_name, unknown_name
from litelvlm.pruning.base import Pruner
from litelvlm.pruning.foreign import foreign_code
from litelvlm.pruning.outside.plugins import check_method, is_reference, method_at, methods_in

FAITHFUL = "faithful"
"""The preset that every method has: its defaults."""
_SPELLING = re.compile(r"(?P<name>[\w-]+)(:(?P<preset>[\w-]+))?(\((?P<fields>.*)\))?")
# Outside brackets: no closing one follows before an opening one.
_COMMA = re.compile(r",(?![^(\[]*[)\]])")


class Spelled(NamedTuple):
    """A method in parts.

    Attributes:
        name: Its name.
        preset: Its preset.
        fields: Fields that differ from the preset's.
    """

    name: str
    preset: str
    fields: dict[str, object]


def spelled(text: str) -> Spelled:
    """Read "name", "name:preset" or "name:preset(field=value, field=value)".

    Raises:
        ValueError: If it is of another form.

    Example:
        >>> spelled("litelvlm(order=raster)").fields
        {'order': 'raster'}
        >>> spelled("pyramiddrop:matched(layers=(1, 4, 8))")
        Spelled(name='pyramiddrop', preset='matched', fields={'layers': (1, 4, 8)})
    """
    found = _SPELLING.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"method {text!r} is not of the form name, name:preset or name(field=value, ...)"
        )
    pairs = [part.split("=", 1) for part in _COMMA.split(found["fields"] or "") if part.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"the fields of method {text!r} are not of the form field=value, field=value"
        )
    fields = {name.strip(): _value(value.strip(), text) for name, value in pairs}
    return Spelled(found["name"], found["preset"] or FAITHFUL, fields)


def _value(text: str, label: str) -> object:
    """A field's value: a word, a number as Python writes it, True, False, None, or a tuple."""
    bracketed = text[:1] + text[-1:] == "()"
    try:
        found = ast.literal_eval(f"[{text[1:-1]}]" if bracketed else _WRITTEN.get(text, text))
    except (ValueError, SyntaxError) as error:
        if text[:1] in ("(", "[") or text[-1:] == "]":
            raise ValueError(
                f"the value {text!r} in method {label!r} cannot be read; check its brackets, and "
                "write numbers in them as Python does"
            ) from error
        return text
    return tuple(found) if bracketed else found


# Other ways to write what Python has a word for.
_WRITTEN = {"true": "True", "false": "False", "null": "None"}

# Name to module in ``litelvlm.pruning.methods`` and class, in the order of tables and legends.
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "litelvlm": "litelvlm:LiteLVLM",
        "low_similarity": "similarity:LowSimilarity",
        "high_similarity": "similarity:HighSimilarity",
        "value_path": "value_path:ValuePath",
        "value_path_grid": "value_path_grid:ValuePathGrid",
        "trim": "trim:Trim",
        "cdpruner": "cdpruner:CDPruner",
        "divprune": "divprune:DivPrune",
        "scope": "scope:Scope",
        "fastervlm": "fastervlm:FasterVLM",
        "vispruner": "vispruner:VisPruner",
        "visionzip": "visionzip:VisionZip",
        "prumerge_plus": "prumerge_plus:PruMergePlus",
        "holov": "holov:HoloV",
        "nuwa": "nuwa:Nuwa",
        "altp_like": "altp_like:AltpLike",
        "evtp_iv_like": "evtp_iv_like:EvtpIvLike",
        "tome": "tome:ToMe",
        "fastv": "fastv:FastV",
        "pyramiddrop": "pyramiddrop:PyramidDrop",
        "dart": "dart:Dart",
        "sparsevlm": "sparsevlm:SparseVLM",
        "sparsevlm_plus": "sparsevlm_plus:SparseVLMPlus",
        "ivc_prune": "ivc_prune:IvcPrune",
        "lvlm_csp_like": "lvlm_csp_like:LvlmCspLike",
        "avgpool": "pooling:AvgPool",
        "bilinear": "pooling:Bilinear",
        "image_downsampling": "downsample:ImageDownsampling",
        "value_norm": "value_norm:ValueNorm",
        "cls_cosine": "cls_cosine:ClsCosine",
        "centre_distance": "centre_distance:CentreDistance",
        "reverse": "reverse:Reverse",
        "layer_reverse": "reverse:LayerReverse",
        "with_uniform": "with_uniform:WithUniform",
        "restore": "restore:Restore",
        "ivc_add_on": "ivc_add_on:IvcAddOn",
        "ivc_layer_add_on": "ivc_add_on:IvcLayerAddOn",
        "random": "random:Random",
        "uniform": "uniform:Uniform",
        "mask_oracle": "mask_oracle:MaskOracle",
        "box_oracle": "box_oracle:BoxOracle",
        "inverse_mask_oracle": "mask_oracle:InverseMaskOracle",
        "llm_attention": "llm_attention:LlmAttention",
        "llm_gradient": "llm_gradient:LlmGradient",
        "block_loo": "block_loo:BlockLoo",
        "external_similarity": "substitutes:ExternalSimilarity",
        "input_similarity": "substitutes:InputSimilarity",
        "received_attention": "substitutes:ReceivedAttention",
        "tower_value_norm": "substitutes:TowerValueNorm",
        "none": "unpruned:Unpruned",
    }
)
# Group of entry points by which an installed package offers methods: ``name = "module:Class"``.
ENTRY_POINTS = "litelvlm.pruners"
# A preset that every method has: the positions of grounding-aware position ids (GAP).
GAP: Mapping[str, object] = MappingProxyType({"order": "raster", "positions": "original"})

_REGISTERED: dict[str, type[Pruner]] = {}


@cache
def _offered() -> Mapping[str, metadata.EntryPoint]:
    """Methods that installed packages offer.

    Raises:
        ValueError: If two methods have one name.
    """
    offered: dict[str, metadata.EntryPoint] = {}
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        if entry.name in METHODS or entry.name in offered:
            source = entry.dist.name if entry.dist else "an installed package"
            raise ValueError(
                f"{source} offers a pruner {entry.name!r} ({entry.value}), and this name is taken; "
                f"rename its entry point in the group {ENTRY_POINTS!r}, or uninstall it"
            )
        offered[entry.name] = entry
    return MappingProxyType(offered)


class _Table(Mapping[str, type[Pruner]]):
    """Names of all methods, and their classes, which are imported when they are looked up."""

    def __getitem__(self, name: str) -> type[Pruner]:
        if name in METHODS:
            module, _, cls = METHODS[name].partition(":")
            found: type[Pruner] = getattr(import_module(f"litelvlm.pruning.methods.{module}"), cls)
            return found
        if name in _REGISTERED:
            return _REGISTERED[name]
        entry = _offered()[name]
        with foreign_code(f"the import of entry point {entry.value!r}"):
            loaded = entry.load()
        return check_method(loaded, f"entry point {entry.value!r}", name)

    def __contains__(self, name: object) -> bool:
        return name in METHODS or name in _REGISTERED or name in _offered()

    def __iter__(self) -> Iterator[str]:
        return iter((*METHODS, *_offered(), *_REGISTERED))

    def __len__(self) -> int:
        return len(METHODS) + len(_offered()) + len(_REGISTERED)


_TABLE = _Table()


def list_pruners() -> Mapping[str, type[Pruner]]:
    """Every method: name to class, in the order of tables and legends.

    First the methods of this library, then those of installed packages (entry points of the group
    ``litelvlm.pruners``), then those registered in this process.
    """
    return _TABLE


def register_pruner(cls: type[Pruner]) -> type[Pruner]:
    """Enter a method into the table, for this process; may be used as a decorator.

    Registering a class again changes nothing. A class that is defined again, as a notebook's cell
    is run again, takes the place of the former one.

    Raises:
        ValueError: If the class is no complete method, or its name is taken.

    Example:
        >>> register_pruner(get_pruner("fastv").__class__)
        Traceback (most recent call last):
        ...
        ValueError: the name 'fastv' of FastV is taken; give the class another name
    """
    check_method(cls, f"class {cls.__name__}")
    known = _REGISTERED.get(cls.name)
    if known is not cls:
        again = known is not None and _place(known) == _place(cls)
        if cls.name in _TABLE and not again:
            raise ValueError(
                f"the name {cls.name!r} of {cls.__name__} is taken; give the class another name"
            )
        _REGISTERED[cls.name] = cls
    return cls


def _place(cls: type[Pruner]) -> tuple[str, str]:
    """Where a class is defined."""
    return cls.__module__, cls.__qualname__


def load_plugin(path: str | Path) -> tuple[type[Pruner], ...]:
    """Enter the methods that a Python file defines into the table, in the order of the file.

    The file is run once in a process, and loading it again changes nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Python file, fails to run, defines no method or an incomplete one,
            or a name is taken.
    """
    return tuple(register_pruner(cls) for cls in methods_in(path))


def get_pruner(name: str, preset: str = FAITHFUL, **options: object) -> Pruner:
    """Build a method from its name, a preset and its fields.

    Args:
        name: One of ``list_pruners()``, alone or as a command line writes it: "name:preset" or
            "name:preset(field=value)". Or where a class outside the table is: "module:Class" or
            "file.py:Class". Such a class is registered, so that its name alone is enough later.
        preset: "faithful" (the released code), "gap" (the same tokens in raster order at their
            original positions, arXiv 2506.21873) or one of the class's ``presets``.
        **options: Fields of the class, over the preset's. A field that is a method itself may be
            such a name ("fastv:matched"), or the plain data of its ``config()``.

    Raises:
        ValueError: If the name, the preset, a field or a value is not allowed; the message names
            what is.

    Example:
        >>> get_pruner("litelvlm(order=raster)") == get_pruner("litelvlm", order="raster")
        True
        >>> get_pruner("reverse", of="value_norm").of.name
        'value_norm'
        >>> get_pruner("with_uniform", of="nuwa:stage1").stage
        'pre_projector'
    """
    if is_reference(name):
        name = register_pruner(method_at(name)).name
    name, own, given = spelled(name)
    twice = [option for option in given if option in options]
    if FAITHFUL not in (preset, own) or twice:
        raise ValueError(
            f"{' and '.join(twice) or 'the preset'} of {name} is given twice; leave one out"
        )
    preset, options = (own if preset == FAITHFUL else preset), {**given, **options}
    cls = _TABLE[check_name(name, list(_TABLE), "pruner")]
    presets: Mapping[str, Mapping[str, object]] = {FAITHFUL: {}, "gap": GAP, **cls.presets}
    check_name(preset, presets, f"{name} preset")
    allowed = [entry.name for entry in fields(cls)]
    for option in options:
        if option not in allowed:
            raise unknown_name(option, allowed, f"{name} field")
    settings = {**presets[preset], **options}
    if "of" in settings:
        settings["of"] = _inner(settings["of"])
    cls.check_options(settings)
    # check_options holds the values to the annotations of the fields.
    return cls(**settings)  # type: ignore[arg-type]


def _inner(given: object) -> object:
    """An inner method from its name or its plain data; others as they are."""
    if isinstance(given, str):
        return get_pruner(given)
    if isinstance(given, Mapping):
        if "name" not in given:
            raise ValueError(
                f"the inner method {dict(given)!r} has no name; give what config() returns, "
                "or a name such as 'fastervlm'"
            )
        return get_pruner(**given)
    return given
