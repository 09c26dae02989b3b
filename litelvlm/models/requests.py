"""Conversations about an image, the masks that answer them, and grounders for many requests."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.data.mask_files import write_masks
from litelvlm.finite import require_finite
from litelvlm.models.view import VisualState
from litelvlm.pruning import Selection

log = logging.getLogger(__name__)
K = TypeVar("K")


@dataclass(frozen=True)
class Conversation:
    """Questions about one image with their answers: one turn, and so one mask, per expression.

    With one answer fewer than questions the last turn is open: the model answers it. Each family
    formats its own prompt.

    Attributes:
        expressions: Stripped, lower-cased referring expressions.
        questions: Question sentences, one per expression.
        answers: Answer sentences, each with one ``[SEG]``.

    Raises:
        ValueError: If the numbers of questions and answers do not fit together.
    """

    expressions: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.questions or len(self.questions) - len(self.answers) not in (0, 1):
            raise ValueError(
                f"{len(self.questions)} questions and {len(self.answers)} answers do not "
                "make a conversation; give one answer per question, or leave out the last"
            )

    def until(self, turn: int, answers: tuple[str, ...]) -> "Conversation":
        """The conversation up to the open question of a turn, with these earlier answers."""
        return Conversation(self.expressions[: turn + 1], self.questions[: turn + 1], answers)


@dataclass(frozen=True, repr=False)
class Grounding:
    """Masks for the expressions of one call.

    Attributes:
        logits: Mask logits of every frame at its size, float32; an image has one frame.
        seg_state: State of the language model that each mask was decoded from (after the final
            norm, before the seg head).
        seg_embeddings: Output of the seg head, the mask decoder's only prompt.
        selections: What was kept, one per pass of the language model. None means unpruned. A
            ``LayerTrace`` holds the tokens of each layer, where the language model dropped tokens.
        timings: Seconds per stage, summed over the passes.
        answers: Answer of each turn, forced or generated.
        found: Whether each answer holds a [SEG]. A generated answer without one gives no mask: its
            logits are minus infinity, its state and embedding NaN.
        unknown_words: Words of the expressions that a model of one small world never read; empty
            for models of the web.
    """

    logits: Float[Tensor, "t f height width"]
    seg_state: Float[Tensor, "t d"]
    seg_embeddings: Float[Tensor, "t c"]
    selections: tuple[Selection | None, ...]
    timings: dict[str, float]
    answers: tuple[str, ...]
    found: tuple[bool, ...]
    unknown_words: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The result in one line: its numbers, and no tensors."""
        n, frames, height, width = self.logits.shape
        pixels = ", ".join(f"{int(mask.sum())}" for mask in self.masks)
        kept = ", ".join("all" if one is None else f"{len(one)}" for one in self.selections)
        of_frames = "" if frames == 1 else f"{frames} frames of "
        parts = [
            f"{n} mask{'' if n == 1 else 's'} of {of_frames}{height} x {width} pixels",
            f"foreground {pixels}",
            f"visual tokens kept {kept}",
            f"{1e3 * sum(self.timings.values()):.0f} ms",
        ]
        if not all(self.found):
            parts.append(f"{self.found.count(False)} without a mask")
        if self.unknown_words:
            parts.append(f"words unknown to the model: {', '.join(self.unknown_words)}")
        return f"Grounding({'; '.join(parts)})"

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write the masks as PNG files, white where the referent is.

        Args:
            path: Ends in ".png". Several masks are numbered: mask-1.png, mask-2.png. So are the
                frames of a clip, behind the number of the expression: mask-1-3.png.

        Returns:
            The files, in the order of the expressions, then of the frames.

        Raises:
            ValueError: If the name does not end in ".png".
        """
        return write_masks(path, self.masks.cpu().numpy())

    @property
    def masks(self) -> Bool[Tensor, "t f height width"]:
        """Foreground of every frame: logit strictly above 0."""
        return self.logits > 0

    @property
    def mask(self) -> Bool[Tensor, "t height width"]:
        """Foreground of the only frame.

        Raises:
            ValueError: If the clip has more.
        """
        frames = self.logits.shape[1]
        if frames != 1:
            raise ValueError(f"these are masks of {frames} frames, not of one image; read .masks")
        return self.masks[:, 0]

    @property
    def selection(self) -> Selection | None:
        """The selection of the first pass."""
        return self.selections[0]


@dataclass(frozen=True)
class Request:
    """One pass: a conversation about the image under one selection (None: unpruned)."""

    conversation: Conversation
    selection: Selection | None


@dataclass(frozen=True)
class GroundedBatch:
    """Passes that ran in one batch.

    Attributes:
        places: For each pass its places among the requests; several where requests ask for the
            same computation.
        logits: Mask logits as in ``Grounding``; one per expression of the conversation.
        found: Likewise: whether each answer holds a [SEG].
    """

    places: tuple[tuple[int, ...], ...]
    logits: Float[Tensor, "b t f height width"]
    found: tuple[tuple[bool, ...], ...]

    @property
    def masks(self) -> Bool[Tensor, "b t f height width"]:
        """Foreground: logit strictly above 0."""
        return self.logits > 0


class Grounder(ABC):
    """Answers many requests about one image.

    Attributes:
        batch_size: Passes of one batch at most. When memory runs out it halves and stays halved.
        notes: Events that the record of a run should name, such as a halved batch.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.notes: list[str] = []

    def lack_of_memory(self, error: BaseException) -> str:
        """What an error says of memory that ran out; empty if it is another one, or nothing helps.

        A batch of one cannot be halved.
        """
        if self.batch_size == 1 or not out_of_memory(error):
            return ""
        return str(error).partition("\n")[0] or type(error).__name__

    def halve(self, reason: str) -> None:
        """Continue with half the batch.

        Called outside the handler of the error, whose traceback holds the batch's tensors.
        """
        self.batch_size //= 2
        self.notes.append(f"out of memory; batches of {self.batch_size} from there on")
        log.warning("out of memory (%s): the batch halves to %d", reason, self.batch_size)

    @abstractmethod
    def __call__(self, state: VisualState, requests: Sequence[Request]) -> Iterator[GroundedBatch]:
        """Answer every request once, batch by batch."""


Ground = Callable[
    [Sequence[VisualState], Sequence[Conversation], Sequence[Selection | None]], list[Grounding]
]


class BatchGrounder(Grounder):
    """Answers requests through a model's own ``ground``, in batches of equal token count.

    Args:
        ground: The model's method.
        batch_size: Passes of one batch at most.
    """

    def __init__(self, ground: Ground, batch_size: int) -> None:
        super().__init__(batch_size)
        self.ground = ground

    def __call__(self, state: VisualState, requests: Sequence[Request]) -> Iterator[GroundedBatch]:
        """Answer every request once, batch by batch."""
        sizes = [0 if r.selection is None else len(r.selection) for r in requests]
        waiting = equal_batches(sizes, self.batch_size)
        while waiting:
            batch, failed = waiting.pop(0), ""
            try:
                found = self.ground(
                    [state] * len(batch),
                    [requests[i].conversation for i in batch],
                    [requests[i].selection for i in batch],
                )
            except (RuntimeError, MemoryError) as error:
                failed = self.lack_of_memory(error)
                if not failed:
                    raise
            if failed:
                self.halve(failed)
                waiting = [part for one in (batch, *waiting) for part in cut(one, self.batch_size)]
                continue
            logits = torch.stack([grounding.logits for grounding in found])
            has_seg = tuple(grounding.found for grounding in found)
            yield GroundedBatch(tuple((i,) for i in batch), logits, has_seg)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error)
    )


def equal_batches(sizes: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group indices of equal size into batches, sizes in ascending order.

    Example:
        >>> equal_batches([8, 16, 8, 8], 2)
        [[0, 2], [3], [1]]
    """
    batches = []
    for size in sorted(set(sizes)):
        batches += cut([i for i, found in enumerate(sizes) if found == size], batch_size)
    return batches


def cut(members: Sequence[int], batch_size: int) -> list[list[int]]:
    """Members in batches, the last one with what is left.

    Example:
        >>> cut([4, 5, 6], 2)
        [[4, 5], [6]]
    """
    return [
        list(members[start : start + batch_size]) for start in range(0, len(members), batch_size)
    ]


def places_by_target(
    places: Sequence[Sequence[int]], target_of: Callable[[int], K]
) -> dict[tuple[int, K], list[int]]:
    """Group the places of a batch by the pass that answers them and by their target.

    One sentence may describe two objects of an image: its requests are one computation with two
    targets.

    Args:
        places: Places of each pass (``GroundedBatch.places``).
        target_of: Target of a place.

    Returns:
        (pass, target) to places.

    Example:
        >>> places_by_target([(0, 1, 2), (3,)], "abab".__getitem__)
        {(0, 'a'): [0, 2], (0, 'b'): [1], (1, 'b'): [3]}
    """
    found: dict[tuple[int, K], list[int]] = {}
    for row, same in enumerate(places):
        for place in same:
            found.setdefault((row, target_of(place)), []).append(place)
    return found


MASK_LOGITS = "the mask logits"
"""Name of the stage, for messages."""


class Masker(ABC):
    """The mask decoder of a family: nothing else decodes masks.

    A decoder without memory takes each frame by itself. One with memory goes through the frames of
    the clip in ``decode``, one expression after the other.
    """

    @abstractmethod
    def begin(self, state: VisualState) -> "Masker":
        """A decoder of this clip, which has seen nothing of it yet."""

    @abstractmethod
    def decode(self, seg_embeds: Float[Tensor, "t d"]) -> Float[Tensor, "t f height width"]:
        """Mask logits of every frame at its size, float32; foreground is ``> 0``.

        Args:
            seg_embeds: Embedding of each expression's [SEG], the only prompt.
        """

    def decode_found(
        self, seg_embeds: Float[Tensor, "t d"], found: Sequence[bool]
    ) -> Float[Tensor, "t f height width"]:
        """``decode``; the logits of an answer without [SEG] are minus infinity.

        Args:
            seg_embeds: As for ``decode``; NaN without [SEG].
            found: Whether each answer holds a [SEG].

        Raises:
            ValueError: If another logit is NaN or infinite.
        """
        logits = self.decode(seg_embeds)
        if all(found):
            require_finite(logits, MASK_LOGITS)
            return logits
        require_finite(logits[[i for i, one in enumerate(found) if one]], MASK_LOGITS)
        logits[[i for i, one in enumerate(found) if not one]] = float("-inf")
        return logits
