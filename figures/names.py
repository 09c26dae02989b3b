"""Names of methods in words: what a preset or a field of a method does, never an option string."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from litelvlm.pruning.registry import list_pruners

PRESETS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("litelvlm", "paper"): "the paper's own rule",
        ("litelvlm", "fixed"): "in raster order",
    }
)
"""(method, preset) to what the preset does; other presets are named as they are."""
WORDS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("direction", "highest"): "highest similarity first",
        ("order", "raster"): "in raster order",
        ("order", "native"): "in its own order",
        ("overlap", "refill"): "no context tokens",
        ("positions", "contiguous"): "contiguous positions",
        ("positions", "original"): "original positions",
        ("positions", "stretch"): "stretched positions",
        ("precision", "bfloat16"): "scores in bfloat16",
        ("similarity", "cosine"): "cosine similarity",
        ("texts", "shuffled"): "text of another image",
        ("texts", "empty"): "empty text",
        ("layer", "-1"): "last layer",
        ("context_share", "1"): "context tokens alone",
        ("query_token", "last_prompt"): "from the end of the question",
        ("layers", "mean"): "all layers",
        ("share", "1.0"): "",
    }
)
"""(field, value) to words; "" where the value needs none."""
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "kernel_shap": "Shapley values of blocks",
        "value_norm": "largest value norms",
    }
)
"""Titles that say more than the name."""
_LAYERS = 32
"""Layers of the full-size language model, in which a share of the depth is told."""


def method_name(method: str) -> str:
    """A label without its preset and fields.

    Example:
        >>> method_name("litelvlm:paper(order=raster)")
        'litelvlm'
    """
    return re.split(r"[:(]", method, maxsplit=1)[0]


def title_of(method: str) -> str:
    """The name of a method as readers know it, without preset and fields."""
    name, known = method_name(method), list_pruners()
    if name in TITLES:
        return TITLES[name]
    return known[name].title if name in known else name.replace("_", " ")


def words_of(method: str) -> str:
    """What the preset and the fields of a label do, in words; empty for the plain method.

    Example:
        >>> words_of("litelvlm:paper(direction=highest)")
        "the paper's own rule, highest similarity first"
    """
    head, _, options = method.partition("(")
    name, _, preset = head.partition(":")
    found = [PRESETS.get((name, preset), preset.replace("_", " "))]
    for option in re.split(r", (?=\w+=)", options.removesuffix(")")) if options else []:
        field, _, value = option.partition("=")
        found.append(_words(field, value))
    return ", ".join(filter(None, found))


def _words(field: str, value: str) -> str:
    """One field in words; "field value" where nobody wrote any."""
    if (field, value) in WORDS:
        return WORDS[field, value]
    if field == "of":
        return f"({title_of(value)})"
    if field == "context_share":
        names = {"0.25": "a quarter", "0.5": "half", "0.667": "two thirds"}
        return f"{names.get(value, f'{100 * float(value):.0f} %')} context"
    if field == "layers" and re.fullmatch(r"0\.\d+", value):
        return f"depth {round(float(value) * _LAYERS)} of {_LAYERS}"
    return f"{field} {value}".replace("_", " ")
