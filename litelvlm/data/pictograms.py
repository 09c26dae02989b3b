"""The pictogram dataset: emoji of COCO categories, drawn once and kept in the cache folder."""

from pathlib import Path

from litelvlm.data.embedded import SHARED_SOURCES
from litelvlm.data.rendered import RenderedData
from litelvlm.data.worlds.pictograms.categories import SUPERCATEGORIES, Inventory
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene

PICTOGRAM_LEVEL = "medium"
# Seeds from 1_000_000 up belong to training.
PICTOGRAM_SEEDS = {
    "train": range(0, 200),
    "val": range(10_000, 10_160),
    "testA": range(20_000, 20_150),
    "testB": range(30_000, 30_150),
}
TRAINING = Inventory(appearance="seen")
"""What training scenes show; the last picture of categories with several is held out."""


def _sample(split: str, seed: int, level: str) -> PictogramScene:
    return sample_scene(seed, level, TRAINING if split == "train" else Inventory())


def pictogram_data() -> RenderedData:
    """The data set with its generator."""
    return RenderedData(
        "pictograms",
        PICTOGRAM_LEVEL,
        PICTOGRAM_SEEDS,
        _sample,
        SUPERCATEGORIES,
        (*SHARED_SOURCES, "worlds/pictograms/*.py", "worlds/pictograms/atlas.png", "pictograms.py"),
    )


def pictogram_root() -> Path:
    """The `Refer_Segm` folder of the data set, made on first use (some seconds).

    Raises:
        PermissionError: If the cache folder cannot be written.
    """
    return pictogram_data().root()
