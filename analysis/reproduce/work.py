"""What a table needs of a machine: multiply-adds, memory, disk and hours."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from litelvlm.analysis.reproduce.device import Device
from litelvlm.data.layout import FAMILIES, KNOWN_COUNTS
from litelvlm.models.costs import llama_macs
from litelvlm.pruning.budgets import ModelSizes

IMAGE_MACS = 3.16e12
"""Multiply-adds of CLIP ViT-L/14-336 and SAM ViT-H on one picture; a test counts them anew."""
MASK_MACS = 1.82e9
"""Multiply-adds of SAM's mask decoder for one expression; a test counts them anew."""
OTHER_TOKENS = 124
"""Tokens of the prompt besides the visual ones, as in the published count."""
WEIGHT_BYTES = 15.7e9
"""Weights of the published model in bfloat16, CLIP included (`benchmarks/full_size.py`)."""
WORKING_BYTES = 4e9
"""What a pass needs beside the weights, on a generous estimate."""
STATE_BYTES = 31e6
"""One encoded image of the published model as the cache keeps it, about."""
EFFICIENCY = 0.3
"""Share of the speed of plain matrix products that the model reaches, which is usual."""
BASIS = (
    "multiply-adds of the image towers, the language model and the mask decoder, at "
    f"{EFFICIENCY:.0%} of the speed that matrix products were just measured to have here; reading "
    "files, converting and the report come on top, and what the sweep shares between passes comes "
    "off"
)
"""How the plan estimates hours."""


class Sizes(NamedTuple):
    """What decides how much a model computes.

    Attributes:
        layers: Of the language model.
        width: Of its hidden states.
        inner: Of its feed-forward part.
        other_tokens: Of the prompt besides the visual ones.
        model: What methods must know: visual tokens, blocks of CLIP, layers.
        image_macs: To encode an image.
        mask_macs: To decode a mask.
    """

    layers: int
    width: int
    inner: int
    other_tokens: int
    model: ModelSizes
    image_macs: float
    mask_macs: float

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning."""
        return self.model.n_tokens

    @property
    def token_macs(self) -> int:
        """One more token of an answer."""
        length = self.n_tokens + self.other_tokens
        return llama_macs(1, self.layers, self.width, self.inner, known=length)

    def passes(self, n_visual: Iterable[float]) -> float:
        """Passes of the language model with so many visual tokens each."""
        return float(sum(self._pass(kept) for kept in n_visual))

    def answers(self, n_visual: Sequence[float], masks: int = 1) -> float:
        """The unpruned pass and those with so many visual tokens, each with its masks."""
        decoded = (1 + len(n_visual)) * masks * self.mask_macs
        return self.passes([self.n_tokens, *n_visual]) + decoded

    def _pass(self, kept: float) -> float:
        length = kept + self.other_tokens
        products = 4 * self.width**2 + 2 * length * self.width + 3 * self.width * self.inner
        return self.layers * length * products


PUBLISHED = Sizes(32, 4096, 11008, OTHER_TOKENS, ModelSizes(576, 23, 32), IMAGE_MACS, MASK_MACS)
"""GLaMM of seven billion weights."""


class Work(NamedTuple):
    """What a table computes.

    Attributes:
        images: All images of all splits.
        passes: Passes of the language model on each image: methods, budgets, draws and scores.
        macs: Multiply-adds of all of it.
    """

    images: int
    passes: int
    macs: float

    def hours(self, device: Device) -> float:
        """Hours that a device needs, by its speed at matrix products."""
        return self.macs / (device.macs_per_second * EFFICIENCY) / 3600


def work_of(
    images: Sequence[int],
    methods: int,
    budgets: Sequence[int],
    draws: int,
    sizes: Sizes = PUBLISHED,
) -> Work:
    """What a model computes for a table of accuracy.

    Args:
        images: Images of each split.
        methods: Pruning methods, each at every budget.
        budgets: Visual tokens.
        draws: Draws of the official protocol.
        sizes: Of the model.
    """
    one_draw = sizes.passes([sizes.n_tokens, *(kept for _ in range(methods) for kept in budgets)])
    passes = draws * (1 + methods * len(budgets))
    each = sizes.image_macs + draws * one_draw + passes * 3 * sizes.mask_macs
    return Work(sum(images), passes, sum(images) * each)


def published_counts(dataset: str, split: str) -> tuple[int, float]:
    """Images of a split as published, and expressions of an image on average.

    Raises:
        ValueError: If a number is not known.
    """
    author = next(iter(FAMILIES[dataset].splits))
    counts = KNOWN_COUNTS[dataset, author, split]
    if counts.images is None or counts.expressions is None:
        raise ValueError(f"the number of images or expressions of {dataset} {split} is not known")
    return counts.images, counts.expressions / counts.images
