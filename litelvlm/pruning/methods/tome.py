"""ToMe: similar tokens merged between attention and MLP of every block of the image tower."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.budgets import ModelSizes, check_budget
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import MergingPruner
from litelvlm.pruning.ranking import ascending, complement, stable_order, unit_rows
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True)
class Merged:
    """Tokens of one image in the middle of the tower, CLS first.

    Attributes:
        states: Their states.
        sizes: Patches in each, CLS counting as one.
        members: 1 where a token holds a patch; CLS holds none.
        indices: Raster index of the patch that the others of a token were merged into, -1 for CLS.
    """

    states: Float[Tensor, "s d"]
    sizes: Float[Tensor, "s"]
    members: Float[Tensor, "s n"]
    indices: Int[Tensor, "s"]

    @classmethod
    def of(cls, states: Float[Tensor, "s d"]) -> "Merged":
        """Tokens before any merge: CLS and one per patch."""
        count, device = len(states), states.device
        members = torch.eye(count, device=device)[:, 1:]
        return cls(
            states,
            torch.ones(count, device=device),
            members,
            torch.arange(-1, count - 1, device=device),
        )

    def merge(self, keys: Float[Tensor, "s e"], count: int) -> "Merged":
        """Merge ``count`` tokens of even places, each into its most similar one of an odd place.

        CLS, at place 0, is never merged. What is left of the even places comes first, in order,
        then the odd ones.
        """
        unit = unit_rows(keys)
        similarity = unit[::2] @ unit[1::2].T
        similarity[0] = float("-inf")
        partner = similarity.argmax(dim=1)
        best = stable_order(similarity.amax(dim=1), descending=True)[:count]
        left = complement(ascending(best), len(partner)) * 2
        into, gone = partner[best], best * 2
        odd = torch.arange(1, len(unit), 2, device=unit.device)
        sizes = self.sizes[odd].index_add(0, into, self.sizes[gone])
        weighted = self.states.float() * self.sizes[:, None]
        mean = weighted[odd].index_add(0, into, weighted[gone]) / sizes[:, None]
        # A token that took nothing in stays as it is, bit for bit.
        grown = (sizes > self.sizes[odd])[:, None]
        states = torch.where(grown, mean.to(self.states.dtype), self.states[odd])
        members = self.members[odd].index_add(0, into, self.members[gone])
        return Merged(
            torch.cat([self.states[left], states]),
            torch.cat([self.sizes[left], sizes]),
            torch.cat([self.members[left], members]),
            torch.cat([self.indices[left], self.indices[odd]]),
        )


def merge_counts(n_tokens: int, budget: int, n_blocks: int) -> tuple[int, ...]:
    """Tokens to merge in each block so that ``budget`` patches are left.

    Counts are as even as possible, with more in earlier blocks. A block merges at most half of its
    tokens, which a small budget in a shallow tower reaches; earlier blocks then take what later
    ones cannot.

    Raises:
        ValueError: If the tower has too few blocks; the message names the smallest possible budget.

    Example:
        >>> merge_counts(576, 192, 23)[::22], sum(merge_counts(576, 192, 23))
        ((17, 16), 384)
    """
    for lowest in range(n_tokens):
        counts, tokens, left = [], n_tokens + 1, n_tokens - budget
        for blocks_left in range(n_blocks, 0, -1):
            counts.append(min((tokens - 1) // 2, max(lowest, ceil(left / blocks_left)), left))
            tokens, left = tokens - counts[-1], left - counts[-1]
        if left == 0:
            return tuple(counts)
    raise ValueError(
        f"tome cannot leave {budget} of {n_tokens} tokens in {n_blocks} blocks, each of which "
        f"merges at most half of them; the smallest budget is {budget + left}"
    )


@dataclass(frozen=True, kw_only=True)
class ToMe(MergingPruner):
    """Bipartite soft matching in all blocks whose output reaches the patch tokens.

    Between attention and MLP the r tokens at even places with the highest ``max_b cos(k_a, k_b)``,
    k the keys' mean over heads and b at odd places, merge into their best b: ``x_b = (w_b x_b + sum
    w_a x_a) / (w_b + sum w_a)`` with sizes w, which add up. Later attention adds ``log w`` to the
    logits of each key. CLS is never merged. Text agnostic. Native order: what is left of the even
    places, then the odd ones; contiguous positions. Cost: a run of the tower with ever fewer
    tokens, per budget.

    ``source`` holds the means over each token's patches; blocks follow the merges, so it reproduces
    the tokens only where blocks add nothing.

    Source: ToMe, official code; arXiv 2210.09461. Paper and code agree and are given r, the same in
    all blocks; here it follows from the budget, up to rounding.
    """

    name: ClassVar[str] = "tome"
    title: ClassVar[str] = "ToMe"
    summary: ClassVar[str] = "similar patches merged block by block inside the image tower"
    stage: ClassVar[str] = "vit"
    native_order: ClassVar[str] = "even places, odd places"
    flash_safe: ClassVar[bool] = False
    video_substitute: ClassVar[str] = "visionzip"
    origin: ClassVar[Origin] = Origin("arXiv 2210.09461", "CC-BY-NC-4.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"fixed": {"order": "raster"}}

    def average_tokens(self, budget: int | float, sizes: ModelSizes) -> float:
        """The budget, if the blocks of the tower can merge that many tokens.

        Raises:
            ValueError: As ``merge_counts``.
        """
        count = check_budget(budget, sizes.n_tokens)
        merge_counts(sizes.n_tokens, count, sizes.n_blocks)
        return float(count)

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Run the tower with merges."""
        vit = cues.vit
        merged = Merged.of(vit.embed())
        for block, count in enumerate(merge_counts(cues.n_tokens, budget, vit.n_blocks)):
            states, keys = vit.attend(block, merged.states, merged.sizes.log())
            merged = Merged(states, merged.sizes, merged.members, merged.indices).merge(keys, count)
            merged = Merged(
                vit.feed(block, merged.states), merged.sizes, merged.members, merged.indices
            )
        sizes = merged.sizes[1:]
        return RawSelection(
            indices=merged.indices[1:],
            tokens=merged.states[1:],
            source=merged.members[1:] / sizes[:, None],
            roles=tuple("merged" if size > 1 else "kept" for size in sizes.tolist()),
        )
