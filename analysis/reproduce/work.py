"""How much a table asks of a machine: multiply-adds, memory, disk and hours."""

from collections.abc import Sequence
from typing import NamedTuple

from litelvlm.analysis.reproduce.device import Device
from litelvlm.data.layout import FAMILIES, KNOWN_COUNTS

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
EFFICIENCY = 0.3
"""Share of the speed of plain matrix products that the model reaches, which is usual."""
_LLAMA = (32, 4096, 11008)


class Work(NamedTuple):
    """What a table computes.

    Attributes:
        images: All images of all splits.
        passes: Passes of the language model on each image: methods, budgets and draws.
        macs: Multiply-adds of all of it.
    """

    images: int
    passes: int
    macs: float

    def hours(self, device: Device) -> float:
        """Hours that a device needs, by its speed at matrix products."""
        return self.macs / (device.macs_per_second * EFFICIENCY) / 3600


def work_of(
    splits: Sequence[tuple[str, str]],
    images: int | None,
    methods: int,
    tokens: Sequence[int],
    draws: int,
) -> Work:
    """What the full-size model computes for a table of accuracy.

    Args:
        splits: Data set and split of each column.
        images: Images of each split; all if None.
        methods: Pruning methods, each at every budget.
        tokens: Budgets of 576 visual tokens.
        draws: Draws of the official protocol.
    """
    whole = [published_images(*place) for place in splits]
    counts = whole if images is None else [min(images, count) for count in whole]
    one_draw = prefill_macs(576) + methods * sum(prefill_macs(kept) for kept in tokens)
    passes = draws * (1 + methods * len(tokens))
    each = IMAGE_MACS + draws * one_draw + passes * 3 * MASK_MACS
    return Work(sum(counts), passes, sum(counts) * each)


def published_images(dataset: str, split: str) -> int:
    """Images of a split as published.

    Raises:
        ValueError: If no number is known.
    """
    author = next(iter(FAMILIES[dataset].splits))
    count = KNOWN_COUNTS[dataset, author, split].images
    if count is None:
        raise ValueError(f"the number of images of {dataset} {split} is not known")
    return count


def prefill_macs(n_visual: int) -> int:
    """Multiply-adds of the language model for one prompt.

    Source: LiteLVLM's project page, as in ``litelvlm.models.costs``.
    """
    layers, width, inner = _LLAMA
    n = n_visual + OTHER_TOKENS
    return layers * (4 * n * width**2 + 2 * n * n * width + 3 * n * width * inner)
