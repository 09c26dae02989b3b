"""Which requests about one image are one computation, may share a batch, or a beginning."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.models.base import Conversation, Request
from litelvlm.pruning import Selection
from litelvlm.pruning.layers.base import LayerPlan


def is_plain(selection: Selection | None) -> bool:
    """Whether the same tokens go through all layers, under plain attention."""
    return selection is None or (not isinstance(selection, LayerPlan) and selection.sizes is None)


def kept_key(selection: Selection | None) -> Hashable:
    """What enters the language model of the image; equal keys mean equal computations."""
    if selection is None:
        return None
    if isinstance(selection, LayerPlan):
        return selection.pruner, selection.budget
    if selection.tokens is not None or selection.sizes is not None:
        return id(selection)
    return (
        tuple(selection.indices.tolist()),
        tuple(selection.positions[0].tolist()),
        selection.span,
    )


@dataclass(frozen=True)
class GroundingJob:
    """A request, its key (see ``kept_key``) and all its places among the requests."""

    request: Request
    kept: Hashable
    places: tuple[int, ...]

    @property
    def n_kept(self) -> int | None:
        """Visual tokens; None for all."""
        return None if self.request.selection is None else len(self.request.selection)


@dataclass(frozen=True)
class Group:
    """Jobs that may share batches: equal numbers of turns, and of tokens in every layer.

    Attributes:
        jobs: In order; jobs that keep the same tokens are neighbours.
        kept_again: Whether each of them keeps the same tokens as another conversation's job.
    """

    jobs: tuple[GroundingJob, ...]
    kept_again: bool


def groups_of(requests: Sequence[Request]) -> list[Group]:
    """Divide requests into groups; equal requests become one job."""
    # One selection often serves many conversations; its key is made once.
    selections = {id(request.selection): request.selection for request in requests}
    keys = {place: kept_key(selection) for place, selection in selections.items()}
    kept = [keys[id(request.selection)] for request in requests]
    same = grouped(
        [(request.conversation, key) for request, key in zip(requests, kept, strict=True)]
    )
    jobs = [GroundingJob(requests[places[0]], kept[places[0]], tuple(places)) for places in same]
    kinds: dict[tuple[Hashable, bool], list[GroundingJob]] = {}
    for places in grouped([job.kept for job in jobs]):
        again = is_plain(jobs[places[0]].request.selection) and len(places) > 1
        for job in (jobs[i] for i in places):
            kinds.setdefault((_kind(job), again), []).append(job)
    return [Group(tuple(members), again) for (_, again), members in kinds.items()]


def grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    """Indices of equal keys together, groups in the order of their first member.

    Example:
        >>> grouped(["a", "b", "a"])
        [[0, 2], [1]]
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _kind(job: GroundingJob) -> Hashable:
    selection = job.request.selection
    plan = job.kept if isinstance(selection, LayerPlan) else None
    return len(job.request.conversation.questions), job.n_kept, is_plain(selection), plan


@dataclass(frozen=True)
class BatchedPrompt:
    """A tokenised conversation, up to the last state that is read.

    Attributes:
        before: Ids before the image.
        after: Ids after the image.
        text: Embeddings of the ids after the image.
        reads: Places among the ids after the image whose states are read.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    text: Float[Tensor, "s d"]
    reads: tuple[int, ...]


Prompts = Mapping[Conversation, BatchedPrompt]


def by_length(jobs: Sequence[GroundingJob], prompts: Prompts) -> list[GroundingJob]:
    """Jobs whose prompts are equally long together, the longest first.

    A batch is as long as its longest prompt. The largest batch comes first, so that what does not
    fit into memory shows at once.
    """
    return sorted(jobs, key=lambda job: -len(prompts[job.request.conversation].after))


def shared_after_image(group: Group, prompts: Prompts) -> int | None:
    """Tokens after the image that are the same in all prompts of a group, before any that is read.

    None if no two passes of the group keep the same visual tokens: then what follows the image
    cannot be shared either.
    """
    if not group.kept_again:
        return None
    conversations = dict.fromkeys(job.request.conversation for job in group.jobs)
    members = [prompts[conversation] for conversation in conversations]
    same = takewhile(
        lambda column: len(set(column)) == 1,
        zip(*(prompt.after for prompt in members), strict=False),
    )
    return min(len(list(same)), *(prompt.reads[0] for prompt in members))


def layout(selection: Selection | None, n_tokens: int) -> tuple[Int[Tensor, "r"], int]:
    """Positions of the visual tokens relative to the first one, and the span of the image."""
    if selection is None:
        return torch.arange(n_tokens), n_tokens
    return selection.positions[0].cpu(), selection.span
