"""Visual-token pruning in pixel grounding: models, data, methods and metrics.

Example:
    >>> from litelvlm import load_model, load_refer, get_pruner
    >>> model, data = load_model("embedded"), load_refer("embedded", split="val")
    >>> sample = data[0]
    >>> sentence, pruner = sample.expressions[0].sent, get_pruner("litelvlm")
    >>> result = model.segment(sample.image(), sentence, pruner, budget=48)
    >>> result.mask.shape == (1, sample.height, sample.width)
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING

from litelvlm.version import __version__ as __version__

# Imported on first use: `import litelvlm` stays fast and loads no torch. A name has two lines: its
# home here, and an import below that only mypy and editors read. They do not run `__getattr__`, so
# no shorter form tells them the types.
_HOMES = {
    "get_pruner": "litelvlm.pruning",
    "list_pruners": "litelvlm.pruning",
    "load_clips": "litelvlm.data.video.read",
    "load_model": "litelvlm.models.families",
    "load_refer": "litelvlm.data.load",
    "load_vlm": "litelvlm.models.families",
    "prune": "litelvlm.models.vlm.door",
}
__all__ = list(_HOMES)

if TYPE_CHECKING:
    from litelvlm.data.load import load_refer as load_refer
    from litelvlm.data.video.read import load_clips as load_clips
    from litelvlm.models.families import load_model as load_model
    from litelvlm.models.families import load_vlm as load_vlm
    from litelvlm.models.vlm.door import prune as prune
    from litelvlm.pruning import get_pruner as get_pruner
    from litelvlm.pruning import list_pruners as list_pruners
else:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'litelvlm' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names first of all: what only serves this file is left out."""
    return sorted([*_HOMES, *(name for name in globals() if name.startswith("__"))])
