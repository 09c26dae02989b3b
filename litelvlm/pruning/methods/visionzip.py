"""VisionZip: dominant tokens, and contextual ones that absorb the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import MergingPruner, mix, one_hot
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.ranking import ascending, complement, highest, unit_rows
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class VisionZip(MergingPruner):
    """CLS, the patches with the highest CLS attention, and a few targets that absorb the others.

    Of R tokens ``floor(share R)`` are contextual. Targets are every ``floor(n / n_ctx)``-th of the
    n remaining patches; every other one goes to the target whose head-mean key is most similar.
    Released code: ``x_target + mean(assigned)``, about twice the usual norm; paper: an average.
    Native order: CLS, dominant and then targets, both in raster order; contiguous positions. CLS is
    a state the projector never saw in training. Cost: one attention row, n x n_ctx cosines.

    Source: VisionZip, official code; arXiv 2412.04467.

    Attributes:
        contextual_share: Share of the budget for contextual tokens; 5/32 gives the published 30, 20
            and 10 of 192, 128 and 64.
        combine: "sum" as the code, or "mean" over target and assigned.
        cls_state: "counted" as the code: CLS is one of the R tokens. "left_out": one more dominant
            patch takes its place, and the order has no CLS.
    """

    name: ClassVar[str] = "visionzip"
    title: ClassVar[str] = "VisionZip"
    summary: ClassVar[str] = "CLS-attended patches, the others merged into a few"
    needs: ClassVar[frozenset[str]] = frozenset(
        {"patch_tokens", "cls_token", "cls_attention", "keys_mean"}
    )
    native_order: ClassVar[str] = "CLS, raster, targets"
    origin: ClassVar[Origin] = Origin("arXiv 2412.04467", "Apache-2.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {"combine": "mean"},
        "fixed": {"combine": "mean", "order": "raster"},
    }

    contextual_share: ShareBelowOne = 5 / 32
    combine: Literal["sum", "mean"] = "sum"
    cls_state: Literal["counted", "left_out"] = "counted"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cls_state == "left_out":
            object.__setattr__(self, "needs", type(self).needs - {"cls_token"})

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """CLS, dominant and contextual tokens."""
        n_tokens, n_context = cues.n_tokens, floor(self.contextual_share * budget)
        n_cls = int(self.cls_state == "counted")
        n_dominant = budget - n_cls - n_context
        dominant = ascending(highest(cues.float32("cls_attention"), n_dominant))
        source = one_hot(dominant, n_tokens)
        rest = complement(dominant, n_tokens)
        targets = rest[:: max(1, len(rest) // max(1, n_context))][:n_context]
        if n_context:
            source = torch.cat(
                [source, self.absorb(unit_rows(cues.float32("keys_mean")), rest, targets)]
            )
        cls = dominant.new_full((n_cls,), -1)
        tokens = mix(source, cues.patch_tokens)
        if n_cls:
            tokens = torch.cat([cues.cls_token[None], tokens])
        return RawSelection(
            indices=torch.cat([cls, dominant, targets]),
            places=torch.cat([torch.zeros_like(cls), dominant, targets]),
            tokens=tokens,
            source=torch.cat([source.new_zeros(n_cls, n_tokens), source]),
            roles=("cls",) * n_cls + ("kept",) * n_dominant + ("merged",) * n_context,
        )

    def absorb(
        self, keys: Float[Tensor, "n e"], rest: Int[Tensor, "m"], targets: Int[Tensor, "c"]
    ) -> Float[Tensor, "c n"]:
        """Merge weights of the contextual tokens."""
        others = rest[~torch.isin(rest, targets)]
        nearest = (keys[others] @ keys[targets].T).argmax(dim=1)
        assigned = torch.zeros(len(targets), len(keys), device=keys.device)
        assigned[nearest, others] = 1.0
        own = one_hot(targets, len(keys))
        if self.combine == "mean":
            members = assigned + own
            return members / members.sum(dim=1, keepdim=True)
        return own + assigned / assigned.sum(dim=1, keepdim=True).clamp(min=1.0)
