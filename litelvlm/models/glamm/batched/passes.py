"""States before [SEG] of many prompts about one image; what prompts share runs once."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from litelvlm.models.glamm.batched.prefix import PrefixCache, prefix_states, read_states
from litelvlm.models.glamm.batched.requests import BatchedPrompt, GroundingJob, Prompts, layout
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState


@dataclass(frozen=True)
class Beginnings:
    """What runs once for all prompts that keep the same visual tokens: the image and words after.

    Attributes:
        cache: Keys and values, one row per selection.
        rows: The row of each selection, by its key (``requests.kept_key``).
        n_shared: Tokens after the image that belong to it.
    """

    cache: PrefixCache
    rows: Mapping[Hashable, int]
    n_shared: int


class LanguagePasses:
    """Runs the prompts of jobs through the language model.

    Args:
        model: The model whose parts run.
    """

    def __init__(self, model: GlammNetwork) -> None:
        self.model = model
        self._prefixes: dict[tuple[int, ...], PrefixCache] = {}

    def embed(self, ids: Sequence[int]) -> Float[Tensor, "s d"]:
        """Input embeddings of token ids."""
        embedded: Tensor = self.model.llama.model.embed_tokens(
            torch.tensor(ids, device=self.model.device)
        )
        return embedded

    def visual(
        self, state: ImageState, projected: Float[Tensor, "n d"], job: GroundingJob
    ) -> Float[Tensor, "r d"]:
        """Projected visual tokens of one pass; merged ones are computed for it."""
        selection = job.request.selection
        if selection is None:
            return projected
        if selection.tokens is not None:
            return self.model.visual_tokens(state, selection)
        kept: Tensor = projected[selection.indices.to(projected.device)]
        return kept

    def begin(
        self,
        state: ImageState,
        projected: Float[Tensor, "n d"],
        jobs: Sequence[GroundingJob],
        prompts: Prompts,
        n_shared: int,
    ) -> Beginnings:
        """Run the image and the first words after it, once for each selection among jobs.

        Args:
            state: The encoded image.
            projected: Its projected visual tokens.
            jobs: Of one group.
            prompts: Prompts of their conversations.
            n_shared: Tokens after the image that are the same in all of them.
        """
        firsts = {job.kept: job for job in jobs}
        lines, places = [], []
        for job in firsts.values():
            prompt, tokens = prompts[job.request.conversation], self.visual(state, projected, job)
            lines.append(torch.cat([tokens, prompt.text[:n_shared]]))
            offsets, span = layout(job.request.selection, len(tokens))
            places.append(torch.cat([offsets, span + torch.arange(n_shared)]) + len(prompt.before))
        at = torch.stack(places).to(self.model.device)
        known = self._prefix(prompt)
        cache = prefix_states(self.model.llama, torch.stack(lines), at, known)
        return Beginnings(cache, {kept: row for row, kept in enumerate(firsts)}, n_shared)

    def seg_states(
        self,
        state: ImageState,
        projected: Float[Tensor, "n d"],
        jobs: Sequence[GroundingJob],
        prompts: Prompts,
        begun: Beginnings | None,
    ) -> list[Float[Tensor, "t d"]]:
        """States before [SEG] of jobs of one group.

        Args:
            state: The encoded image.
            projected: Its projected visual tokens.
            jobs: Passes of one batch.
            prompts: Prompts of their conversations.
            begun: What of them has run already.
        """
        own = [prompts[job.request.conversation] for job in jobs]
        n_kept = jobs[0].n_kept or len(projected)
        places, device = [], self.model.device
        for job, prompt in zip(jobs, own, strict=True):
            offsets, span = layout(job.request.selection, n_kept)
            text = span + torch.arange(len(prompt.text))
            behind = torch.cat([offsets, text]) if begun is None else text[begun.n_shared :]
            places.append(behind + len(prompt.before))
        if begun is None:
            prefix, cut = self._prefix(own[0]), -n_kept
            lines = [
                torch.cat([self.visual(state, projected, job), prompt.text])
                for job, prompt in zip(jobs, own, strict=True)
            ]
        else:
            rows = torch.tensor([begun.rows[job.kept] for job in jobs], device=device)
            prefix, cut = begun.cache.for_passes(rows), begun.n_shared
            lines = [prompt.text[cut:] for prompt in own]
        reads = [torch.tensor(prompt.reads) - cut for prompt in own]
        states = read_states(
            self.model.llama,
            prefix,
            pad_sequence(lines, batch_first=True),
            pad_sequence(places, batch_first=True).to(device),
            pad_sequence(reads, batch_first=True).to(device),
        )
        return [row[: len(prompt.reads)] for row, prompt in zip(states, own, strict=True)]

    def _prefix(self, prompt: BatchedPrompt) -> PrefixCache:
        """What all prompts begin with, before the image; it runs once for all images."""
        ids = prompt.before
        if ids not in self._prefixes:
            places = torch.arange(len(ids), device=self.model.device)
            self._prefixes[ids] = prefix_states(
                self.model.llama, self.embed(ids)[None], places[None]
            )
        return self._prefixes[ids]
