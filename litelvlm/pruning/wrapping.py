"""Methods that hold another method and change what it keeps."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import LayerPruner, QueryToken
from litelvlm.pruning.merging import one_hot
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.selection import RawSelection

# Stages whose tokens are rows of the patch tokens or mixtures of them.
STAGES = ("pre_projector", "post_projector")


@dataclass(frozen=True, kw_only=True)
class Wrapper(Pruner):
    """A method on top of another one, the inner method.

    What the inner method needs is added to what the wrapper needs, and an inner method that the
    wrapper cannot hold is refused with the reason. Order and positions are the wrapper's own. A
    subclass gives ``of`` a default.

    Attributes:
        of: The inner method.
        inherited: Class attributes whose values the wrapper takes from the inner method.
        takes_merged: The inner method may merge tokens.
        example: Name of a method that the wrapper can hold, for error messages.
    """

    inherited: ClassVar[tuple[str, ...]] = ("text_guided", "video_substitute")
    takes_merged: ClassVar[bool] = False
    example: ClassVar[str] = "fastervlm"

    of: Pruner

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.inherited:
            object.__setattr__(self, name, getattr(self.of, name))
        object.__setattr__(self, "needs", type(self).needs | self.of.needs)

    @property
    def among_frames(self) -> bool:
        """As the inner method."""
        return self.of.among_frames

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse an inner method that cannot be held, next to what every method refuses."""
        super().check_options(options)
        if "of" not in options:
            return
        inner = options["of"]
        reason = cls.why_not(inner) if isinstance(inner, Pruner) else "it is not a method"
        if reason:
            raise ValueError(f"{cls.name} cannot take of={inner!r}: {reason}; {cls.instead(inner)}")

    @classmethod
    def instead(cls, inner: object) -> str:
        """What to do instead of holding ``inner``, for the error message."""
        return f"take for example of={cls.example!r}"

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        if inner.stage not in STAGES:
            return (
                f"it works at stage {inner.stage!r}, and the tokens it leaves are not mixtures of "
                "the patch tokens"
            )
        if inner.synthetic and not inner.flash_safe:
            return (
                "attention is calibrated for exactly the tokens it makes, so none can be added or "
                "merged"
            )
        if inner.synthetic and not cls.takes_merged:
            return (
                "it merges tokens, and what it dropped is already inside them and must not be "
                "merged again"
            )
        return ""


def inner_budget(budget: int, share: float) -> int:
    """Tokens that the inner method chooses: ``budget - round(share budget)``, at least one."""
    return max(1, budget - round_half_up(share * budget))


@dataclass(frozen=True, kw_only=True)
class AddOn(Wrapper):
    """Lets the inner method choose ``R - round(share R)`` tokens and adds others that it left out.

    Merged tokens of the inner method stay, and their merge weights are extended by the added ones.
    Raster order.

    Attributes:
        share: Share of the budget for added tokens, in [0, 1).
        role: Role of the added tokens; the others have the role "chosen", or the inner method's.
    """

    inherited: ClassVar[tuple[str, ...]] = (*Wrapper.inherited, "stage", "synthetic")
    takes_merged: ClassVar[bool] = True
    role: ClassVar[str]

    share: ShareBelowOne

    @abstractmethod
    def added(self, cues: Cues, kept: Int[Tensor, "k"], count: int) -> Int[Tensor, "count"]:
        """Raster indices to add, none of which is in ``kept``, the inner method's plain tokens."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The inner method's tokens, and the added ones."""
        n_chosen = inner_budget(budget, self.share)
        chosen = self.of.choose(cues, n_chosen)
        kept = chosen.indices[chosen.indices >= 0]
        return self._extended(chosen, self.added(cues, kept, budget - n_chosen), cues)

    def _extended(self, chosen: RawSelection, added: Int[Tensor, "m"], cues: Cues) -> RawSelection:
        """The inner method's tokens and further patch tokens, in raster order."""
        indices = torch.cat([chosen.indices, added.to(chosen.indices.device)])
        if chosen.tokens is None or chosen.source is None:
            return RawSelection.with_two_roles(indices, len(chosen.indices), "chosen", self.role)
        originals = cues.projected if self.of.stage == "post_projector" else cues.patch_tokens
        copies = one_hot(added, cues.n_tokens).to(chosen.source.device)
        places = torch.cat([chosen.stands_for, indices[len(chosen.indices) :]])
        permutation = torch.sort(places, stable=True).indices
        own_roles = chosen.roles or ("chosen",) * len(chosen.indices)
        roles = own_roles + (self.role,) * len(added)
        return RawSelection(
            indices=indices[permutation],
            places=places[permutation],
            tokens=torch.cat([chosen.tokens, originals[added]])[permutation],
            source=torch.cat([chosen.source, copies])[permutation],
            roles=tuple(roles[i] for i in permutation.tolist()),
        )


@dataclass(frozen=True, kw_only=True)
class LayerWrapper(Wrapper, LayerPruner):
    """A wrapper that changes which tokens the inner method keeps at its drops.

    Layers, counts and the query token are the inner method's, and tokens that it brings back come
    back.

    Attributes:
        of: The inner method, at layers of the language model alone.
        query_token: Replaces the inner method's query token; None leaves it.
    """

    inherited: ClassVar[tuple[str, ...]] = (
        *Wrapper.inherited,
        "look_back",
        "returning",
        "synthetic",
        "native_order",
    )
    example: ClassVar[str] = "fastv"
    text_guided: ClassVar[bool] = True

    positions: Positions = "original"
    # Read through effective_query_token only, which is never None.
    query_token: Literal[QueryToken, None] = None  # type: ignore[assignment]
    of: LayerPruner

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "reads", type(self).reads | self.of.reads)

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        if isinstance(inner, LayerPruner) and inner.stage == "llm":
            return ""
        return "it does not drop tokens inside the language model alone"

    @property
    def effective_query_token(self) -> QueryToken:
        """The query token given, else that of the inner method."""
        return self.query_token or self.of.effective_query_token

    @property
    def matched_hint(self) -> str:
        """The preset is the inner method's."""
        if isinstance(self.of, LayerWrapper):
            return self.of.matched_hint
        return f"of='{self.of.name}:matched'"

    def candidate_schedules(self, n_layers: int) -> Sequence[LayerPruner]:
        """Those of the inner method."""
        return [replace(self, of=inner) for inner in self.of.candidate_schedules(n_layers)]

    def matched(self) -> LayerPruner:
        """The inner method with the layers left to the budget."""
        return replace(self, of=self.of.matched())

    def min_kept(self, n_tokens: int) -> int:
        """That of the inner method."""
        return self.of.min_kept(n_tokens)

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Those of the inner method."""
        return self.of.drop_layers(n_layers)

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Those of the inner method."""
        return self.of.kept_counts(budget, n_tokens, n_layers)
