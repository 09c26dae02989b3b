"""Many passes over one image, for every method, budget and expression, with shared work done once.

``Glamm.ground`` takes any mixture of images and stays the plain path. Here all passes are about one
image. Its visual tokens are projected once, and the mask decoder reads it once. Prompts share their
beginning; it includes the image where several expressions use one selection. Passes of equal token
count share LLaMA batches, whatever method chose the tokens. Passes that keep the same tokens for
the same question run once. Methods that drop tokens inside the language model use the plain path,
in batches of one schedule.

Measured gain: the requests of three questions about one image under eleven selections take 3.4
times less processor time than one by one (``benchmarks/batched_parts.py``: miniature, median of 9
rounds, one thread, float32).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.finite import require_finite
from litelvlm.models.base import Conversation, GroundedBatch, Grounder, Request
from litelvlm.models.glamm.batched.passes import Beginnings, LanguagePasses
from litelvlm.models.glamm.batched.prefix import KERNELS
from litelvlm.models.glamm.batched.requests import (
    BatchedPrompt,
    GroundingJob,
    Prompts,
    by_length,
    groups_of,
    is_plain,
    shared_after_image,
)
from litelvlm.models.glamm.language.decoding import read_given_answers
from litelvlm.models.glamm.language.llama import seg_places
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import SEG_STATE, ImageState
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX

CPU_MASKS = 8
"""Masks that a CPU decodes at once; more do not fit into its cache and take longer each."""


class SharedGrounder(Grounder):
    """Grounds many requests about one image at a time.

    Args:
        model: The model whose parts run.
        batch_size: Passes at once, which bounds memory. When memory runs out it halves and stays
            halved.
    """

    def __init__(self, model: GlammNetwork, batch_size: int = 24) -> None:
        super().__init__(batch_size)
        self.model = model
        self.passes = LanguagePasses(model)

    @torch.inference_mode()
    def __call__(  # type: ignore[override]  # states are those of its own model
        self, state: ImageState, requests: Sequence[Request]
    ) -> Iterator[GroundedBatch]:
        """Answer every request once, batch by batch; nothing of a batch is kept.

        Raises:
            ValueError: If a plan's budget is impossible.
        """
        projected = self.model.project(state.clip.patch_tokens[0])
        prompts = {
            conversation: self._prompt(conversation)
            for conversation in dict.fromkeys(request.conversation for request in requests)
        }
        for group in groups_of(requests):
            n_shared = shared_after_image(group, prompts)
            waiting, window, begun = list(group.jobs), list[GroundingJob](), None
            while waiting or window:
                failed = ""
                try:
                    if not window:
                        begun = None  # the old keys and values go before the new ones come
                        window, waiting = self._window(waiting, n_shared)
                        window = by_length(window, prompts)
                        begun = self._begin(state, projected, window, prompts, n_shared)
                    jobs = window[: self.batch_size]
                    logits = self._logits(state, projected, jobs, prompts, begun)
                except (RuntimeError, MemoryError) as error:
                    failed = self.lack_of_memory(error)
                    if not failed:
                        raise
                if failed:
                    waiting, window, begun = [*window, *waiting], [], None
                    self.halve(failed)
                    continue
                found = ((True,) * logits.shape[1],) * len(jobs)
                yield GroundedBatch(tuple(job.places for job in jobs), logits, found)
                window = window[len(jobs) :]

    def _window(
        self, jobs: Sequence[GroundingJob], n_shared: int | None
    ) -> tuple[list[GroundingJob], list[GroundingJob]]:
        """Jobs to run next, and the others.

        The beginnings of jobs that share them are kept until all of these jobs are done, so there
        are no more of them at a time than passes of a batch.
        """
        if n_shared is None:
            return list(jobs), []
        first = set(list(dict.fromkeys(job.kept for job in jobs))[: self.batch_size])
        return (
            [job for job in jobs if job.kept in first],
            [job for job in jobs if job.kept not in first],
        )

    def _begin(
        self,
        state: ImageState,
        projected: Float[Tensor, "n d"],
        jobs: Sequence[GroundingJob],
        prompts: Prompts,
        n_shared: int | None,
    ) -> Beginnings | None:
        """What the jobs share behind the image, if they do and the attention kernel can use it."""
        if n_shared is None or not self._shares(jobs):
            return None
        return self.passes.begin(state, projected, jobs, prompts, n_shared)

    def _shares(self, jobs: Sequence[GroundingJob]) -> bool:
        """Whether prompts can share their beginning, the text before the image at least."""
        kernel = self.model.llama.config._attn_implementation
        return is_plain(jobs[0].request.selection) and kernel in KERNELS

    def _prompt(self, conversation: Conversation) -> BatchedPrompt:
        ids = self.model.tokenizer.encode(full_prompt(conversation))
        start = ids.index(IMAGE_INDEX)
        # Ids after the image start one after its placeholder.
        offset = self.model.read_offset - start - 1
        reads = tuple(i + offset for i in seg_places(ids, self.model.tokenizer.seg_id))
        after = tuple(ids[start + 1 :][: reads[-1] + 1])  # no later token can change what is read
        return BatchedPrompt(tuple(ids[:start]), after, self.passes.embed(after), reads)

    def _logits(
        self,
        state: ImageState,
        projected: Float[Tensor, "n d"],
        jobs: Sequence[GroundingJob],
        prompts: Prompts,
        begun: Beginnings | None,
    ) -> Float[Tensor, "b t 1 height width"]:
        """Logits of one batch at the image's own size, all its masks in one call."""
        if self._shares(jobs):
            seg_states = self.passes.seg_states(state, projected, jobs, prompts, begun)
        else:
            answered = read_given_answers(
                self.model,
                [self.passes.visual(state, projected, job) for job in jobs],
                [job.request.conversation for job in jobs],
                [job.request.selection for job in jobs],
            )
            seg_states = [turns.seg_states for turns in answered]
        together = torch.cat(seg_states)
        require_finite(together, SEG_STATE)
        at_once = CPU_MASKS if together.device.type == "cpu" else self.batch_size
        masker = replace(self.model.masker, at_once=at_once).begin(state)
        logits = masker.decode_found(self.model.seg_head(together), [True] * len(together))
        by_pass: Tensor = logits.unflatten(0, (len(jobs), -1))
        return by_pass
