"""Tokenised conversations, and what those of one group have in common behind the image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.batched.requests import GroundingJob, Group
from litelvlm.pruning import Selection


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
