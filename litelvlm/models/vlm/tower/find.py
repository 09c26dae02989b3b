"""Find the image tower of a model and watch it while it encodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from litelvlm.models.vlm.attention import reading
from litelvlm.models.vlm.families import Patches
from litelvlm.models.vlm.tower.signals import TowerSignals

TOWERS = ("vision_tower", "visual", "vision_model", "vision_encoder")
"""Names of image towers."""
SIGNALS = frozenset(
    {
        "received_attention",
        "tower_value_norm",
        "cls_attention",
        "keys_mean",
        "key_norm",
        "keys",
        "values",
        "query",
        "cls_key",
    }
)
"""Cues that need a watched tower."""
WINDOWS = "permute_input_for_window_attn"
"""Method of towers that put their patches into the order of windows."""


def attention_modules(tower: nn.Module) -> list[nn.Module]:
    """Attention modules of a tower's blocks, from the first to the last."""
    found = [
        module
        for module in tower.modules()
        if "Attention" in type(module).__name__ and hasattr(module, "config")
    ]
    return [m for m in found if not any(m is not o and o in m.modules() for o in found)]


def source_block(model: PreTrainedModel, n_blocks: int) -> int:
    """The block whose output becomes the visual tokens."""
    config = model.config
    layer = getattr(config, "vision_feature_layers", getattr(config, "vision_feature_layer", -1))
    layers = layer if isinstance(layer, list | tuple) else [layer]
    # Layer 0 stands for the embeddings, layer 1 for the output of block 0.
    return max(index - 1 if index >= 0 else n_blocks + index for index in layers)


@contextmanager
def tower_watched(
    model: PreTrainedModel, patches: Patches
) -> Iterator[Callable[[], TowerSignals | None]]:
    """Watch the image tower of a model.

    Args:
        model: The model.
        patches: How its tokens are made of patches.

    Yields:
        What it showed, once it has run; None if there is no tower of a known kind.
    """
    tower = next(
        (found for name in TOWERS if (found := getattr(model.base_model, name, None)) is not None),
        None,
    )
    modules = [] if tower is None or patches == "unknown" else attention_modules(tower)
    if not modules:
        yield lambda: None
        return
    source, last = modules[source_block(model, len(modules))], modules[-1]
    order: list[Tensor] = []
    watched = [source] if source is last else [source, last]
    with reading(watched) as readers, window_order(tower, order):
        yield lambda: TowerSignals(
            readers[0].calls, readers[-1].calls, patches, order[0] if order else None
        )


@contextmanager
def window_order(tower: nn.Module | None, order: list[Tensor]) -> Iterator[None]:
    """Remember the window order that a tower puts its patches in."""
    own = getattr(tower, WINDOWS, None)
    if tower is None or own is None:
        yield
        return

    def remembering(input_tensor: Tensor, window_index: Tensor, seq_len: int) -> Tensor:
        order.append(window_index)
        found: Tensor = own(input_tensor, window_index, seq_len=seq_len)
        return found

    tower.__dict__[WINDOWS] = remembering
    try:
        yield
    finally:
        del tower.__dict__[WINDOWS]


def reads_tower(needs: frozenset[str]) -> bool:
    """Whether a method reads what only a watched tower shows."""
    return bool(needs & SIGNALS)
