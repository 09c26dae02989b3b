"""One image of a sweep as read from disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.data.dataset import Sample


@dataclass(frozen=True)
class Loaded:
    """One image or clip as read from disk, before any model work.

    Attributes:
        sample: Its record, with the expressions that can be asked.
        clip: Its frames; those of a clip of several are read when they are asked for.
        masks: Target masks as they are scored, one per expression.
        coverage: Share of each token's patch that the mask covers, one row per expression.
        keys: Key columns, one entry per expression.
        skipped: The reason for each expression that was left out because it cannot be asked.
    """

    sample: Sample
    clip: Sequence[Image.Image]
    masks: UInt8[Array, "n f h w"]
    coverage: Array
    keys: tuple[Row, ...]
    skipped: tuple[str, ...] = ()
