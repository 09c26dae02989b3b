"""Find the image tower of a model and watch it while it encodes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import isqrt
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from litelvlm.models.vlm_base.attention import AttentionStates, reading
from litelvlm.models.vlm_base.patches import Patches
from litelvlm.models.vlm_base.tower_attention import first_attention, received_attention


def joined_heads(states: Float[Tensor, "b h s e"]) -> Float[Tensor, "b s d"]:
    """Heads side by side."""
    return states.transpose(1, 2).flatten(2)


@dataclass(frozen=True, eq=False)
class TowerSignals:
    """What a tower's attention modules showed of the images of one call.

    Attributes:
        source: States of the block that the visual tokens come from, one call after the other.
        last: States of the last block.
        patches: How tokens are made of patches.
        has_cls: Whether the first of an image's patches is CLS.
        in_windows: Whether that block attends within windows of an image.
        order: Window order of the tokens inside the tower; None for their own order.
        made: Cues of all images that were read before, by name.
    """

    source: Sequence[AttentionStates]
    last: Sequence[AttentionStates]
    patches: Patches
    has_cls: bool
    in_windows: bool
    order: Int[Tensor, "n"] | None
    made: dict[str, Sequence[Tensor]] = field(default_factory=dict)

    def cues(self, counts: Sequence[int], index: int) -> Mapping[str, Callable[[], Tensor]]:
        """Cues of one image.

        Args:
            counts: Visual tokens of every image of the call.
            index: The image.
        """

        def values(
            name: str, states: Sequence[AttentionStates], read: Callable[[AttentionStates], Tensor]
        ) -> Tensor:
            if name not in self.made:
                tokens = self._tokens([read(call) for call in states], counts)
                self.made[name] = tokens.split(list(counts))
            found: Tensor = self.made[name][index]
            return found

        def first(read: Callable[[AttentionStates], Tensor]) -> Tensor:
            self._needs_cls(counts)
            return torch.cat([read(call)[:, 0] for call in self.last])[index]

        def received() -> Tensor:
            if self.in_windows:
                raise ValueError(
                    "the image tower attends within windows in the block that the visual tokens "
                    "come from, so small windows would rank high; take a method that reads no "
                    "attention of the tower, for example 'tower_value_norm' or 'divprune'"
                )
            return values("received_attention", self.source, received_attention)

        def cls_attention() -> Tensor:
            if self.has_cls:
                return values("cls_attention", self.source, first_attention)
            if self._prefix(counts):
                raise ValueError(
                    "the first patch of the image tower makes no visual token, and is not known to "
                    "be CLS; take 'received_attention', or keep every patch "
                    "(vision_feature_select_strategy='full')"
                )
            # Without CLS: what VisPruner's author answers for such towers.
            return received()

        def norm(states: Tensor) -> Tensor:
            lengths: Tensor = joined_heads(states).float().norm(dim=-1)
            return lengths

        source: Mapping[str, Callable[[AttentionStates], Tensor]] = {
            "tower_value_norm": lambda call: norm(call.value),
            "keys_mean": lambda call: call.key.mean(dim=1),
            "key_norm": lambda call: norm(call.key),
        }
        last: Mapping[str, Callable[[AttentionStates], Tensor]] = {
            "keys": lambda call: joined_heads(call.key),
            "values": lambda call: joined_heads(call.value),
        }
        return {
            **{name: partial(values, name, self.source, read) for name, read in source.items()},
            **{name: partial(values, name, self.last, read) for name, read in last.items()},
            "received_attention": received,
            "cls_attention": cls_attention,
            "query": lambda: first(lambda call: joined_heads(call.query)),
            "cls_key": lambda: first(lambda call: joined_heads(call.key)),
        }

    def _prefix(self, counts: Sequence[int]) -> int:
        """Patches in front of an image that make no token, as CLS mostly does: 0 or 1.

        Raises:
            ValueError: If patches and tokens do not fit together.
        """
        images = sum(call.key.shape[0] for call in self.source)
        patches = sum(call.key.shape[0] * call.key.shape[2] for call in self.source)
        # Where each patch makes a token, CLS may make one too.
        for prefix in (0, 1) if self.patches == "one" else (int(self.has_cls),):
            left, tokens = patches - prefix * images, sum(counts)
            if self.patches != "unknown" and tokens and left % tokens == 0:
                each = left // tokens
                if each == 1 or self.patches != "one":
                    return prefix
        raise ValueError(
            f"{patches} patches of the image tower make {sum(counts)} visual tokens in a way that "
            "is not known for this family; take a method that reads the projected tokens, for "
            "example 'divprune' or 'input_similarity'"
        )

    def _needs_cls(self, counts: Sequence[int]) -> None:
        """Refuse a cue of CLS beside its patches where the tokens are not those patches.

        Raises:
            ValueError: If the tower has no CLS, or CLS is one of the tokens.
        """
        if self.has_cls and self._prefix(counts):
            return
        if self.has_cls:
            raise ValueError(
                "CLS is one of the visual tokens, and this method reads it beside them; let the "
                "model drop it (vision_feature_select_strategy='default', with one placeholder "
                "less in each image), or take a method that ranks CLS as a token, for example "
                "'fastervlm' or 'vispruner'"
            )
        raise ValueError(
            "the image tower has no CLS token, whose states this method reads; take a method "
            "without it, for example 'vispruner' or 'received_attention'"
        )

    def _tokens(
        self, states: Sequence[Float[Tensor, "b s *d"]], counts: Sequence[int]
    ) -> Float[Tensor, "n *d"]:
        """Mean over the patches of each token."""
        prefix = self._prefix(counts)
        patches = torch.cat([call[:, prefix:].flatten(0, 1) for call in states])
        each = len(patches) // sum(counts)
        if self.patches == "blocks" and each > 1:
            images = sum(len(call) for call in states)
            side, block = isqrt(len(patches) // images), isqrt(each)
            grid = patches.unflatten(0, (images, side // block, block, side // block, block))
            squares: Tensor = grid.transpose(2, 3).flatten(3, 4).mean(dim=3).flatten(0, 2)
            return squares
        tokens: Tensor = patches.unflatten(0, (-1, each)).mean(dim=1)
        return tokens if self.order is None else tokens[torch.argsort(self.order)]


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
CLS = ("class_embedding", "cls_token")
"""Names of CLS among the parameters of a tower."""
WHOLE = "fullatt_block_indexes"
"""Attribute of towers with windows: the blocks that attend to a whole image."""
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


def has_cls(tower: nn.Module) -> bool:
    """Whether a tower puts CLS before its patches; that of a pooling head is none of them."""
    names = [name.split(".") for name, _ in tower.named_parameters()]
    return any(name[-1] in CLS and "head" not in name for name in names)


def source_block(model: PreTrainedModel, n_blocks: int, given: object = None) -> int:
    """The block whose output becomes the visual tokens: of the layer given, or the model's own."""
    config = model.config
    layer = getattr(config, "vision_feature_layers", getattr(config, "vision_feature_layer", -1))
    layer = cast(int | Sequence[int], layer if given is None else given)
    layers = [layer] if isinstance(layer, int) else layer
    # Layer 0 stands for the embeddings, layer 1 for the output of block 0.
    return max(index - 1 if index >= 0 else n_blocks + index for index in layers)


@contextmanager
def tower_watched(
    model: PreTrainedModel, patches: Patches, layer: object = None
) -> Iterator[Callable[[], TowerSignals | None]]:
    """Watch the image tower of a model.

    Args:
        model: The model.
        patches: How its tokens are made of patches.
        layer: The call's own ``vision_feature_layer``; None for the model's.

    Yields:
        What it showed, once it has run; None if there is no tower of a known kind.
    """
    tower = next(
        (found for name in TOWERS if (found := getattr(model.base_model, name, None)) is not None),
        None,
    )
    modules = [] if tower is None or patches == "unknown" else attention_modules(tower)
    if tower is None or not modules:
        yield lambda: None
        return
    block = source_block(model, len(modules), layer)
    source, last = modules[block], modules[-1]
    order: list[Tensor] = []
    watched = [source] if source is last else [source, last]
    with reading(watched) as readers, window_order(tower, order):
        yield lambda: TowerSignals(
            readers[0].calls,
            readers[-1].calls,
            patches,
            has_cls(tower),
            block not in getattr(tower, WHOLE, [block]),
            order[0] if order else None,
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
