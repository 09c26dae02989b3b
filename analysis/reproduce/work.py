"""What a table needs of a machine: multiply-adds, memory, disk and hours."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from litelvlm.analysis.reproduce.device import Device
from litelvlm.models.costs import llama_macs
from litelvlm.pruning.budgets import ModelSizes

IMAGE_MACS = 3.16e12
"""Multiply-adds of CLIP ViT-L/14-336 and SAM ViT-H on one picture; a test counts them anew."""
MASK_MACS = 1.82e9
"""Multiply-adds of SAM's mask decoder for one expression; a test counts them anew."""
OTHER_TOKENS = 124
"""Tokens of the prompt besides the visual ones, as in the published count."""
TURNS = 3
"""Expressions of an official conversation."""
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
    "files, converting and the report are not counted, and what the sweep shares between passes is "
    "not subtracted"
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


class Workload(NamedTuple):
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
