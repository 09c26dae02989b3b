"""Visual-token pruning in pixel grounding: models, data, methods and metrics.

Example:
    >>> from litelvlm import load_model, load_refer, get_pruner
    >>> model, data = load_model("embedded"), load_refer("embedded", split="val")
    >>> sample = data[0]
    >>> result = model.segment(sample.image(), sample.expressions[0].sent, get_pruner("litelvlm"), budget=48)
    >>> result.mask.shape == (1, sample.height, sample.width)
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litelvlm.data.load import load_refer
    from litelvlm.models.glamm.build import load_model
    from litelvlm.pruning import get_pruner, list_pruners

__version__ = "0.1.0"
__all__ = ["get_pruner", "list_pruners", "load_model", "load_refer"]

# Imported on first use: `import litelvlm` stays fast and loads no torch.
_HOMES = {
    "load_model": "litelvlm.models.glamm.build",
    "load_refer": "litelvlm.data.load",
    "get_pruner": "litelvlm.pruning",
    "list_pruners": "litelvlm.pruning",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'litelvlm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
