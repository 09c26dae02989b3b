"""RESTORE: dropped tokens are merged, and attention counts how many patches a token stands for."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.options import ShareAboveZero
from litelvlm.pruning.positions import Positions, median_places
from litelvlm.pruning.ranking import ascending, complement, cosine_matrix, highest, stable_order
from litelvlm.pruning.selection import RawSelection
from litelvlm.pruning.wrapping import Wrapper


@dataclass(frozen=True, kw_only=True)
class Restore(Wrapper):
    """Another method keeps ``round(share R)`` tokens; groups of the others fill the budget.

    Attention is calibrated for the size of the groups. Among the tokens not kept, ``density_i =
    sum_j cos(x_i, x_j)``, and the highest ``density_i (1 - max_j cos(x_i, x_j))`` over denser j are
    anchors (the densest one takes its lowest cosine); the others join their most similar anchor,
    and a group becomes its mean, at the median of its places. The language model then adds
    ``log(size_k) + log(2 - m(d))`` to its attention logits, d the distance of query and key and m
    the mean cosine of the rotary angles: see ``litelvlm.models.glamm.language.decoding``. With
    share 1 nothing is merged and every kept token counts N / R, so it calibrates any selector.
    Raster order, original positions. Cost: N^2 cosines, and a dense additive attention bias.

    Source: RESTORE, official code for the bias, paper for the merging; arXiv 2606.01711.

    Attributes:
        of: The inner method.
        share: Share of the budget that the inner method keeps, in (0, 1].
    """

    name: ClassVar[str] = "restore"
    title: ClassVar[str] = "RESTORE"
    summary: ClassVar[str] = "another method, the rest merged and the attention calibrated for it"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens"})
    flash_safe: ClassVar[bool] = False
    synthetic: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2606.01711", "GPL-3.0", "B")

    positions: Positions = "original"
    of: Pruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all
    share: ShareAboveZero = 0.5

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The inner method's tokens, and groups of those it left."""
        n_tokens, n_kept = cues.n_tokens, max(1, round_half_up(self.share * budget))
        kept = self.kept(cues, n_kept)
        if n_kept == budget:
            return RawSelection(
                kept, sizes=torch.full((budget,), n_tokens / budget, device=kept.device)
            )
        rest = complement(kept, n_tokens)
        anchors, group = density_groups(
            cosine_matrix(cues.float32("patch_tokens")[rest]), budget - n_kept
        )
        members = torch.zeros(len(anchors), n_tokens, device=rest.device)
        members[group, rest] = 1.0
        source = torch.cat([one_hot(kept, n_tokens), members / members.sum(dim=1, keepdim=True)])
        indices = torch.cat([kept, rest[anchors]])
        places = median_places(source, indices)
        permutation = torch.sort(places, stable=True).indices
        sizes = (source > 0).sum(dim=1).float()[permutation]
        return RawSelection(
            indices=indices[permutation],
            places=places[permutation],
            tokens=mix(source[permutation], cues.patch_tokens),
            source=source[permutation],
            roles=tuple("kept" if i < n_kept else "merged" for i in permutation.tolist()),
            sizes=sizes,
        )

    def kept(self, cues: Cues, count: int) -> Int[Tensor, "count"]:
        """The inner method's tokens, ascending."""
        # Controls choose on the CPU.
        return ascending(self.of.choose(cues, count).indices).to(cues.patch_tokens.device)


def density_groups(
    cosines: Float[Tensor, "m m"], count: int
) -> tuple[Int[Tensor, "count"], Int[Tensor, "m"]]:
    """Anchors by density peaks, and the anchor (as a place among them) that each token belongs to.

    Of equally dense tokens the first is the denser one.
    """
    density = cosines.sum(dim=1)
    order = stable_order(density, descending=True)
    rank = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))
    denser = rank < rank[:, None]
    nearest = cosines.masked_fill(~denser, float("-inf")).amax(dim=1)
    nearest[order[0]] = cosines[order[0]].amin()
    anchors = ascending(highest(density * (1 - nearest), count))
    group = cosines[:, anchors].argmax(dim=1)
    # An anchor is its own group's, also beside a twin.
    group[anchors] = torch.arange(count, device=anchors.device)
    return anchors, group
