"""Wrappers that reserve a share of the budget for tokens that the inner method left out."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import one_hot
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.selection import RawSelection
from litelvlm.pruning.wrapping import Wrapper


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
