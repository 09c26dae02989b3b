"""Many passes over one image - every method, budget and expression - with all they have in common computed once.

``Glamm.ground`` takes any mixture of images and stays the plain path. Here the image is one: its visual tokens are
projected once, prompts share their beginning, passes of equal token count share LLaMA batches whatever method chose the
tokens, passes that keep the same tokens for the same question are run once, and the mask decoder sees the image once.
Methods that drop tokens inside the language model go through its plain loop, in batches of one schedule.
"""

import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from litelvlm.glamm.calibration import decode_selected
from litelvlm.glamm.layer_pruning import LayerDropping
from litelvlm.glamm.mask import sam_dtype, upscale
from litelvlm.glamm.model import Glamm, ImageState
from litelvlm.glamm.prompts import Conversation
from litelvlm.glamm.shared_masks import masks_of_image
from litelvlm.glamm.shared_prefix import KERNELS, Past, prefix_states, read_states
from litelvlm.glamm.tokenizer import IMAGE_INDEX
from litelvlm.pruning import Selection
from litelvlm.pruning.layers import LayerPlan

log = logging.getLogger(__name__)
CPU_MASKS = 8
"""Masks that a CPU decodes at once: more no longer fit its cache and take longer each."""


@dataclass(frozen=True)
class Request:
    """One pass: a conversation about the image under one selection (None: unpruned)."""

    conversation: Conversation
    selection: Selection | None


@dataclass(frozen=True)
class Answered:
    """Passes that were run together.

    Attributes:
        places: For each pass its places among the requests; several if they ask for the same computation.
        logits: Mask logits at the image's own size, float32; one per expression of the conversation.
    """

    places: tuple[tuple[int, ...], ...]
    logits: Float[Tensor, "b t height width"]


@dataclass(frozen=True)
class Prompt:
    """A tokenised conversation: ids before and behind the image, and where behind it states are read."""

    before: tuple[int, ...]
    behind: tuple[int, ...]
    reads: tuple[int, ...]


class SharedGrounder:
    """Grounds many requests about one image at a time.

    Args:
        model: Whose parts are driven.
        batch_size: Passes at once: what bounds memory. It halves when memory runs out, and stays so.

    Attributes:
        notes: What happened that a record should say.
    """

    def __init__(self, model: Glamm, batch_size: int = 24) -> None:
        self.model, self.batch_size = model, batch_size
        self.notes: list[str] = []
        self._prefixes: dict[tuple[int, ...], tuple[Past, ...]] = {}

    @torch.inference_mode()
    def __call__(self, state: ImageState, requests: Sequence[Request]) -> Iterator[Answered]:
        """Answer every request once, batch by batch; nothing of a batch is kept.

        Raises:
            ValueError: If a plan's budget is impossible.
        """
        visual = self.model.project(state.clip.patch_tokens[0])
        prompts = {request.conversation: self._prompt(request.conversation) for request in requests}
        for group in grouped([_kind(request) for request in requests]):
            twins = grouped([_identity(requests[i]) for i in group])
            first = [group[same[0]] for same in twins]
            start = 0
            while start < len(first):
                chosen = first[start : start + self.batch_size]
                try:
                    low = self._low(state, visual, [requests[i] for i in chosen], prompts)
                    logits = self._full(state, low)
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error) or self.batch_size == 1:
                        raise
                    failed = str(error).splitlines()[0]
                else:
                    asked = twins[start : start + len(chosen)]
                    yield Answered(tuple(tuple(group[i] for i in same) for same in asked), logits)
                    start += len(chosen)
                    continue
                self._halve(failed)

    def _halve(self, reason: str) -> None:
        """Go on with half the batch. Outside the handler of the error, whose traceback holds the batch's tensors."""
        self.batch_size //= 2
        self.notes.append(f"out of memory; batches of {self.batch_size} from there on")
        log.warning("out of memory (%s): the batch halves to %d", reason, self.batch_size)

    def _prompt(self, talk: Conversation) -> Prompt:
        ids = self.model.tokenizer.encode(talk.prompt)
        start = ids.index(IMAGE_INDEX)
        # The state that predicts [SEG] is the one before it, and ids behind the image start one after its placeholder.
        offset = self.model.read_offset - 2
        reads = tuple(i - start + offset for i, token in enumerate(ids) if token == self.model.tokenizer.seg_id)
        return Prompt(tuple(ids[:start]), tuple(ids[start + 1 :]), reads)

    def _low(
        self, state: ImageState, visual: Tensor, requests: Sequence[Request], prompts: dict[Conversation, Prompt]
    ) -> list[Float[Tensor, "t h w"]]:
        """Low-resolution masks of one batch."""
        plain = not isinstance(requests[0].selection, LayerPlan) and not _calibrated(requests[0].selection)
        if plain and self.model.llama.config._attn_implementation in KERNELS:
            seg_states = self._seg_states(state, visual, requests, [prompts[r.conversation] for r in requests])
        else:
            seg_states = self._seg_states_inside(state, visual, requests)
        embeddings = self.model.seg_head(torch.cat(seg_states)).to(sam_dtype(self.model.sam))
        at_once = CPU_MASKS if embeddings.device.type == "cpu" else self.batch_size
        low = [masks_of_image(self.model.sam, state.sam_embeddings, part) for part in embeddings.split(at_once)]
        return list(torch.cat(low).split([len(states) for states in seg_states]))

    def _seg_states(
        self, state: ImageState, visual: Tensor, requests: Sequence[Request], prompts: Sequence[Prompt]
    ) -> list[Float[Tensor, "t d"]]:
        """States before [SEG], the beginning of the prompts shared."""
        device, embed = self.model.device, self.model.llama.model.embed_tokens
        embeds, positions, reads = [], [], []
        for request, prompt in zip(requests, prompts, strict=True):
            tokens, start = self._tokens(state, visual, request.selection), len(prompt.before)
            behind = prompt.behind[: prompt.reads[-1] + 1]  # no later token can change what is read
            offsets, span = _layout(request.selection, len(tokens))
            embeds.append(torch.cat([tokens, embed(torch.tensor(behind, device=device))]))
            positions.append(torch.cat([start + offsets, start + span + torch.arange(len(behind))]))
            reads.append(torch.tensor([len(tokens) + place for place in prompt.reads]))
        states = read_states(
            self.model.llama,
            self._prefix(prompts[0].before),
            pad_sequence(embeds, batch_first=True),
            pad_sequence(positions, batch_first=True).to(device),
            pad_sequence(reads, batch_first=True).to(device),
        )
        return [row[: len(prompt.reads)] for row, prompt in zip(states, prompts, strict=True)]

    def _seg_states_inside(
        self, state: ImageState, visual: Tensor, requests: Sequence[Request]
    ) -> list[Float[Tensor, "t d"]]:
        """States before [SEG] from the plain loop, which drops tokens between layers and calibrates attention."""
        talks, selections = [r.conversation for r in requests], [r.selection for r in requests]
        tokens = [self._tokens(state, visual, selection) for selection in selections]
        spliced = self.model.splice(tokens, talks, selections)
        dropping = LayerDropping(
            self.model.llama, self.model.tokenizer, talks, selections, spliced.image_start, spliced.lengths
        )
        states = decode_selected(self.model.llama, spliced, selections, dropping)
        read = self.model.read_offset
        places = [[i + read for i in row] for row in dropping.shifted(spliced.seg_index)]
        return [states[row, at] for row, at in enumerate(places)]

    def _tokens(self, state: ImageState, visual: Tensor, selection: Selection | None) -> Float[Tensor, "r d"]:
        """Projected visual tokens of one pass; merged ones are no rows of the image's and are made for it."""
        if selection is None:
            return visual
        if selection.tokens is not None:
            return self.model.visual_tokens(state, selection)
        kept: Tensor = visual[selection.indices.to(visual.device)]
        return kept

    def _prefix(self, ids: tuple[int, ...]) -> tuple[Past, ...]:
        if ids not in self._prefixes:
            self._prefixes[ids] = prefix_states(self.model.llama, torch.tensor(ids, device=self.model.device))
        return self._prefixes[ids]

    def _full(self, state: ImageState, low: Sequence[Float[Tensor, "t h w"]]) -> Float[Tensor, "b t height width"]:
        """Logits at the image's own size, all masks of the batch in one call."""
        full = upscale(torch.cat(list(low)), state.resized_size, state.original_size, self.model.sam_image_size)
        grouped_by_pass: Tensor = full.unflatten(0, (len(low), -1))
        return grouped_by_pass


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


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in said


def _kind(request: Request) -> Hashable:
    """Passes that may share a batch: as many turns and as many tokens in every layer."""
    selection, turns = request.selection, len(request.conversation.questions)
    if isinstance(selection, LayerPlan):
        return turns, len(selection), type(selection.pruner), selection.budget
    return turns, None if selection is None else len(selection), _calibrated(selection)


def _calibrated(selection: Selection | None) -> bool:
    """Whether the pass needs attention of its own."""
    return selection is not None and selection.sizes is not None


def _identity(request: Request) -> Hashable:
    """Passes that are the same computation: one question, the same plain tokens at the same positions."""
    selection, talk = request.selection, request.conversation
    if selection is None:
        return talk
    if isinstance(selection, LayerPlan):
        return talk, selection.pruner, selection.budget
    if selection.tokens is not None or _calibrated(selection):
        return talk, id(selection)
    return talk, tuple(selection.indices.tolist()), tuple(selection.positions.tolist()), selection.span


def _layout(selection: Selection | None, n_tokens: int) -> tuple[Tensor, int]:
    """Positions of the visual tokens relative to the first one, and how many the image block takes."""
    if selection is None:
        return torch.arange(n_tokens), n_tokens
    return selection.positions.cpu(), selection.span
