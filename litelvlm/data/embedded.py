"""The embedded dataset: procedural scenes, made once and kept in the cache folder."""

from pathlib import Path

from litelvlm.data.rendered import RenderedData
from litelvlm.data.worlds.shapes.objects import CATEGORIES
from litelvlm.data.worlds.shapes.scenes import sample_scene

EMBEDDED_LEVEL = "easy"
# Seeds from 1_000_000 up belong to training, so no image here can be one the miniature has seen.
EMBEDDED_SEEDS = {
    "train": range(0, 200),
    "val": range(10_000, 10_160),
    "testA": range(20_000, 20_150),
    "testB": range(30_000, 30_150),
}
SHARED_SOURCES = (
    "worlds/base.py",
    "worlds/canvas.py",
    "worlds/noise.py",
    "worlds/referring.py",
    "outlines.py",
    "refer_writer.py",
)
"""Files that the scenes of every world depend on."""


def _rendered() -> RenderedData:
    return RenderedData(
        "scenes",
        EMBEDDED_LEVEL,
        EMBEDDED_SEEDS,
        lambda split, seed, level: sample_scene(seed, level),
        CATEGORIES,
        (*SHARED_SOURCES, "worlds/shapes/*.py"),
    )


def generator_digest() -> str:
    """SHA-256 over level, seeds and the generator's source, so that no dataset is ever stale."""
    return _rendered().digest()


def embedded_root() -> Path:
    """The `Refer_Segm` folder of the embedded dataset, made on first use (some seconds).

    Raises:
        PermissionError: If the cache folder cannot be written.
    """
    return _rendered().root()
