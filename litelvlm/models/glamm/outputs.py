"""What the stages of a GLaMM hand on: the encoded image, the spliced prompt, the masks; and a watch over the stages."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from litelvlm.clip.states import ClipImage
from litelvlm.models.glamm.prompting.prompts import SEG_TOKEN
from litelvlm.pruning import Selection


@dataclass(frozen=True)
class ImageState:
    """Everything about one image that no method and no sentence changes.

    Attributes:
        clip: CLIP states, batch of one.
        sam_embeddings: SAM image embedding [1, C, h, w].
        original_size: (height, width) in pixels.
        resized_size: (height, width) inside SAM's padded square.
        timings: Seconds per stage.
    """

    clip: ClipImage
    sam_embeddings: Float[Tensor, "1 c h w"]
    original_size: tuple[int, int]
    resized_size: tuple[int, int]
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Grounding:
    """Masks for the expressions of one call.

    Attributes:
        logits: Mask logits at the image's size, float32.
        seg_state: LLM state that each mask was decoded from (after the final norm, before the seg
            head).
        seg_embeddings: Output of the seg head, SAM's only prompt.
        selections: What was kept, one per LLM pass (None: unpruned; a ``LayerTrace`` tells it layer
            by layer where tokens were dropped inside the language model).
        timings: Seconds per stage, summed over the passes.
        answers: What the assistant said in each turn, forced or generated. A generated answer
            without [SEG] gives no mask: its logits are minus infinity, its state and embedding NaN,
            and ``found`` is False there.
    """

    logits: Float[Tensor, "t height width"]
    seg_state: Float[Tensor, "t d"]
    seg_embeddings: Float[Tensor, "t c"]
    selections: tuple[Selection | None, ...]
    timings: dict[str, float]
    answers: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[bool, ...]:
        """Whether each answer holds a [SEG], that is, whether there is a mask at all."""
        return tuple(SEG_TOKEN in answer for answer in self.answers)

    @property
    def mask(self) -> Bool[Tensor, "t height width"]:
        """Foreground: logit strictly above 0."""
        return self.logits > 0

    @property
    def selection(self) -> Selection | None:
        """The selection of the first pass."""
        return self.selections[0]


@dataclass(frozen=True)
class Spliced:
    """Input embeddings of a batch of conversations, padded on the right.

    Attributes:
        embeds: [B, S, d].
        position_ids: Rotary positions [B, S].
        lengths: Real tokens of each row.
        image_start: Index of the first visual token of each row.
        seg_index: For each row, the indices whose state predicts a [SEG].
    """

    embeds: Float[Tensor, "b s d"]
    position_ids: Int[Tensor, "b s"]
    lengths: tuple[int, ...]
    image_start: tuple[int, ...]
    seg_index: tuple[tuple[int, ...], ...]


class Stopwatch:
    """Seconds per named stage, the device synchronised at both ends."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent in the block to ``stage``."""
        self.synchronise()
        start = perf_counter()
        yield
        self.synchronise()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start

    def synchronise(self) -> None:
        """Wait for the device to finish what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def add_timings(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sum several stage tables."""
    total: dict[str, float] = {}
    for part in parts:
        for stage, seconds in part.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total
