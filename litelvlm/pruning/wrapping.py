"""Methods that hold another method and change what it chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Pruner, RawSelection
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import one_hot
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.roles import two_roles

# Stages whose tokens are rows of the patch tokens or mixtures of them.
STAGES = ("pre_projector", "post_projector")


@dataclass(frozen=True, kw_only=True)
class Wrapper(Pruner):
    """A method that lets another one choose tokens first.

    Order and positions are the wrapper's own; those of the inner method are not read. What the
    inner method needs and whether it reads the text carry over.

    Attributes:
        of: The inner method, before the language model.
        takes_merged: The inner method may merge tokens.
    """

    takes_merged: ClassVar[bool] = False

    of: Pruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "needs", type(self).needs | self.of.needs)
        object.__setattr__(self, "text_guided", self.of.text_guided)
        if self.takes_merged:
            object.__setattr__(self, "stage", self.of.stage)
            object.__setattr__(self, "synthetic", self.of.synthetic)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method that cannot be wrapped, next to what every method refuses."""
        super().check_options(options)
        inner = options.get("of", cls.of)
        reason = why_not(inner, cls.takes_merged)
        if reason:
            raise ValueError(
                f"{cls.name} cannot take of={inner!r}: {reason}; take for example of='fastervlm'"
            )

    def extended(
        self, chosen: RawSelection, more: Int[Tensor, "m"], cues: Cues, role: str
    ) -> RawSelection:
        """The inner method's tokens and further patch tokens, in raster order.

        Args:
            chosen: What the inner method chose.
            more: Raster indices to add, none of which it keeps.
            cues: Of the image.
            role: Of the added tokens; the others are "chosen", or what a merging method calls them.
        """
        indices = torch.cat([chosen.indices, more.to(chosen.indices.device)])
        if chosen.tokens is None or chosen.source is None or chosen.roles is None:
            return two_roles(indices, len(chosen.indices), "chosen", role)
        originals = cues.projected if self.of.stage == "post_projector" else cues.patch_tokens
        places = torch.cat(
            [
                chosen.indices if chosen.places is None else chosen.places,
                indices[len(chosen.indices) :],
            ]
        )
        turn = torch.sort(places, stable=True).indices
        roles = chosen.roles + (role,) * len(more)
        return RawSelection(
            indices=indices[turn],
            places=places[turn],
            tokens=torch.cat([chosen.tokens, originals[more]])[turn],
            source=torch.cat(
                [chosen.source, one_hot(more, cues.n_tokens).to(chosen.source.device)]
            )[turn],
            roles=tuple(roles[i] for i in turn.tolist()),
        )


def why_not(inner: object, takes_merged: bool) -> str:
    """Why a method cannot be wrapped; nothing if it can."""
    if not isinstance(inner, Pruner):
        return "it is no method"
    if inner.stage not in STAGES:
        return f"it works at stage {inner.stage!r}, and what it leaves is no mixture of the patch tokens"
    if inner.synthetic and not inner.flash_safe:
        return "attention is calibrated for exactly the tokens it makes, so none can be added or merged"
    if inner.synthetic and not takes_merged:
        return "it merges tokens, and what it dropped is already inside them, to be merged no second time"
    return ""
