"""Names of methods in words: what a preset or a field of a method does, never an option string."""

from collections.abc import Mapping
from types import MappingProxyType

from litelvlm.pruning.registry import FAITHFUL, list_pruners, spelled

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
        ("context_share", "0.25"): "a quarter context",
        ("context_share", "0.5"): "half context",
        ("context_share", "0.667"): "two thirds context",
        ("query_token", "last_prompt"): "from the end of the question",
        ("layers", "mean"): "all layers",
        ("share", "1.0"): "",
    }
)
"""(field, value) to words; "" where the value needs none."""
TITLES = MappingProxyType(
    {"kernel_shap": "Shapley values of blocks", "value_norm": "largest value norms"}
)
"""Titles that say more than the name."""
_LAYERS = 32
"""Layers of the full-size language model, in which a share of the depth is told."""


def title_of(name: str) -> str:
    """The name of a method as readers know it, without preset and fields."""
    known = list_pruners()
    own = known[name].title if name in known else name.replace("_", " ")
    return TITLES.get(name, own)


def label(method: str) -> str:
    """The name of a method as readers know it, with what its preset and its fields do, in words.

    Example:
        >>> label("litelvlm:paper(context_share=0.5, order=raster)")
        "LiteLVLM, the paper's own rule, half context, in raster order"
    """
    name, preset, fields = spelled(method)
    title = title_of(name)
    if "of" in fields:
        title += f" ({title_of(str(fields.pop('of')))})"
    words = "" if preset == FAITHFUL else PRESETS.get((name, preset), preset.replace("_", " "))
    parts = title, words, *(_words(field, value) for field, value in fields.items())
    return ", ".join(filter(None, parts))


def _words(field: str, value: object) -> str:
    """One field in words; "field value" where nobody wrote any."""
    if field == "layers" and isinstance(value, float):
        return f"depth {round(value * _LAYERS)} of {_LAYERS}"
    return WORDS.get((field, str(value)), f"{field} {value}".replace("_", " "))
