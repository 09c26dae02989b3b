"""One image of a sweep as read from disk."""

from dataclasses import dataclass

from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.data.dataset import Sample


@dataclass(frozen=True)
class Loaded:
    """One image as read from disk, before any model work.

    Attributes:
        sample: The image's record, with the expressions that can be asked.
        picture: Its pixels.
        masks: Target masks as they are scored, one per expression.
        coverage: Share of each token's patch that the mask covers, one row per expression.
        keys: Key columns, one entry per expression.
        skipped: The reason for each expression that was left out because it cannot be asked.
    """

    sample: Sample
    picture: Image.Image
    masks: UInt8[Array, "n h w"]
    coverage: Array
    keys: tuple[Row, ...]
    skipped: tuple[str, ...] = ()
