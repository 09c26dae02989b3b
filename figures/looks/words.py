"""What the presets and fields of methods are called in figures."""

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
LAYERS = 32
"""Layers of the full-size language model, in which a share of the depth is told."""


def title_of(name: str) -> str:
    """The name of a method as readers know it, without preset and fields."""
    own = list_pruners()[name].title if name in list_pruners() else name.replace("_", " ")
    return TITLES.get(name, own)


def in_words(field: str, value: object) -> str:
    """One field in words; "field value" where nobody wrote any."""
    if field == "context_share" and (field, str(value)) not in WORDS:
        return f"{100 * float(str(value)):.0f} % context"
    if field == "layers" and isinstance(value, float):
        return f"depth {round(value * LAYERS)} of {LAYERS}"
    return WORDS.get((field, str(value)), f"{field} {value}".replace("_", " "))
