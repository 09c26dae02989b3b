"""Steps of ``GroundingModel.segment``: clip and method as given, all passes as one result."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

import torch

from litelvlm.data.images import ImageSource
from litelvlm.models.requests import Conversation, Grounding
from litelvlm.models.studied import reads_images
from litelvlm.models.view import VisualState
from litelvlm.names import check_name
from litelvlm.pruning import LayerPruner, ModelSizes, Pruner, Selection, check_budget, get_pruner

State = TypeVar("State", bound=VisualState)
"""An encoded clip of one family."""


class Stopwatch:
    """Measures seconds per named stage; the device is synchronised before and after."""

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
        """Wait for the device to finish its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


PROTOCOLS = ("single", "conversation")
ANSWERS = ("forced", "generated")
MAX_NEW_TOKENS = 64
"""Longest generated answer; the trained ones have about ten tokens."""


MAX_SIGNS = 300
"""Longest expression that is asked about one picture; those of data sets are shorter."""


def checked_expressions(text: str | Sequence[str]) -> list[str]:
    """Expressions as given, one or several.

    Raises:
        ValueError: If there is none, or one is no text, empty, too long, or cannot be written in
            UTF-8.
    """
    expressions = [text] if isinstance(text, str) else list(text)
    if not expressions:
        raise ValueError(
            "text has no expression; give at least one, for example 'the yellow giraffe'"
        )
    for one in expressions:
        if not isinstance(one, str):
            raise ValueError(f"an expression is a {type(one).__name__}, expected text: {one!r}")
        if not one.strip():
            raise ValueError(f"an expression is empty: {one!r}; say what to segment")
        if len(one) > MAX_SIGNS:
            raise ValueError(
                f"an expression has {len(one):,} signs; at most {MAX_SIGNS} are taken: "
                f"{one[:30]!r}..."
            )
        try:
            one.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"an expression holds half a sign or bytes that are no UTF-8: {one!a}; type it "
                "again, or read its file with the right encoding"
            ) from error
    return expressions


def frames_of(image: ImageSource | Sequence[ImageSource]) -> Sequence[ImageSource]:
    """The frames of an image or a clip; an image is a clip of one frame.

    Raises:
        ValueError: If a clip has no frame.
    """
    if not isinstance(image, Sequence) or isinstance(image, str | bytes):
        return [image]
    if not len(image):
        raise ValueError("the clip has no frames; give at least one image")
    return image


def only_frame(name: str, image: ImageSource | Sequence[ImageSource]) -> ImageSource:
    """The image, for a model of that name which reads no clips.

    Raises:
        ValueError: If there are several frames, or none.
    """
    frames = frames_of(image)
    if len(frames) != 1:
        raise ValueError(reads_images(name, len(frames)))
    return frames[0]


def named_method(
    pruner: Pruner | str | None, budget: int | float | None, sizes: ModelSizes
) -> tuple[Pruner, int] | None:
    """The method and its number of tokens; None keeps all.

    Raises:
        ValueError: If one of the two is missing, the method is unknown, or it cannot keep to the
            budget.
    """
    n_tokens = sizes.n_tokens
    if pruner is None:
        if budget is not None and budget != n_tokens:
            raise ValueError(
                f"budget {budget} was given without a pruner; name one, for example "
                "get_pruner('litelvlm')"
            )
        return None
    method = get_pruner(pruner) if isinstance(pruner, str) else pruner
    if budget is None:
        raise ValueError(
            f"pruner {method.name!r} needs a budget: tokens from 1 to {n_tokens}, or a share"
        )
    count = check_budget(budget, n_tokens)
    if isinstance(method, LayerPruner):
        method.schedule(count, n_tokens, sizes.n_layers)
    return method, count


def checked_entries(
    states: Sequence[State],
    conversations: Sequence[Conversation],
    selections: Sequence[Selection | None],
    answer: str,
) -> list[tuple[State, Conversation, Selection | None]]:
    """What ``GroundingModel.ground`` is asked, entry by entry.

    Raises:
        ValueError: If the sequences differ in length or are empty, the kind of answer is unknown,
            or forced answers are to be read and one is missing.
    """
    if not states or not len(states) == len(conversations) == len(selections):
        raise ValueError(
            f"one state, conversation and selection per row are needed, got {len(states)}, "
            f"{len(conversations)} and {len(selections)}"
        )
    check_name(answer, ANSWERS, "kind of answer")
    if answer == "forced" and any(len(c.answers) < len(c.questions) for c in conversations):
        raise ValueError("the last question has no answer to read; take answer='generated'")
    return list(zip(states, conversations, selections, strict=True))


def joined(
    passes: Sequence[Grounding], timings: Sequence[Mapping[str, float]], unknown: tuple[str, ...]
) -> Grounding:
    """The results of all passes as one.

    Args:
        passes: In the order of the expressions.
        timings: Seconds per stage outside the passes.
        unknown: Words that the model never read.
    """
    seconds = Counter[str]()  # a counter adds up seconds too
    for stages in (*timings, *(p.timings for p in passes)):
        seconds.update(stages)
    return Grounding(
        torch.cat([p.logits for p in passes]),
        torch.cat([p.seg_state for p in passes]),
        torch.cat([p.seg_embeddings for p in passes]),
        tuple(p.selection for p in passes),
        dict(seconds),
        tuple(turn for p in passes for turn in p.answers),
        tuple(found for p in passes for found in p.found),
        unknown,
    )
