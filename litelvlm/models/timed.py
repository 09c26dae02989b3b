"""Calls of a model that a bench times, part by part, and how long one call takes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import torch
from transformers import PreTrainedConfig

from litelvlm.data.images import ImageSource
from litelvlm.models.base import StudiedModel
from litelvlm.models.costs import head_widths, language_macs
from litelvlm.pruning import Pruner
from litelvlm.pruning.budgets import ModelSizes

LANGUAGE_MODEL = "llm"
"""Name of the language model among the components."""


class TimedCall(ABC):
    """One call about one image or clip: its prompt is made, its parts can be run one by one."""

    @property
    @abstractmethod
    def language(self) -> PreTrainedConfig:
        """Sizes of the language model."""

    @property
    @abstractmethod
    def layer_counts(self) -> tuple[int, ...]:
        """Visual tokens that each layer of the language model processes."""

    @property
    @abstractmethod
    def n_other(self) -> int:
        """Other tokens of the prompt."""

    @property
    def cache_width(self) -> int:
        """Numbers that one token keeps as keys in one layer; values are as many."""
        return head_widths(self.language)[1]

    @abstractmethod
    def prefill(self) -> None:
        """Run the language model alone over the prompt."""

    @abstractmethod
    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer with a key-value cache.

        Args:
            stop: Called with each token that counts, ``n_tokens`` + 1 of them.
            n_tokens: Tokens behind the first one.
        """

    @abstractmethod
    def whole(self) -> Mapping[str, float]:
        """Everything from the picture to the result; seconds by stage, as far as they are known."""

    def macs(self) -> Mapping[str, int]:
        """Multiply-adds by component, by arithmetic; here of the language model alone."""
        counts = [count + self.n_other for count in self.layer_counts]
        return {LANGUAGE_MODEL: language_macs(self.language, counts)}

    @abstractmethod
    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Components besides the language model as calls, for counting."""


class TimedModel(StudiedModel):
    """A model whose calls can be timed."""

    described = "a model whose calls can be timed"

    @property
    @abstractmethod
    def weight_bytes(self) -> int:
        """Bytes of all weights."""

    @abstractmethod
    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to (``GroundingModel.sizes``)."""

    @abstractmethod
    def timed_call(
        self,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> TimedCall:
        """Prepare one call about all expressions together.

        Args:
            image: The image; for a clip its frames.
            expressions: All in one conversation, with one selection.
            pruner: Method; None for the unpruned model.
            budget: Visual tokens to keep; all of them without a method.

        Raises:
            ValueError: If the method reads what the model cannot give, the model answers one
                expression at a time and gets several, or reads images and gets a clip.
        """


def timed(call: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Milliseconds of one call by wall clock and, on a GPU, between two events."""
    if device.type != "cuda":
        start = perf_counter()
        call()
        return {"wall": 1e3 * (perf_counter() - start)}
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start = perf_counter()
    before.record()
    call()
    after.record()
    torch.cuda.synchronize(device)
    return {"wall": 1e3 * (perf_counter() - start), "cuda": float(before.elapsed_time(after))}
