"""The embedded data sets: rendered scenes and clips, made once and kept in the cache folder."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from litelvlm.data.rendered import RenderedClips, RenderedData
from litelvlm.data.worlds.moving.clips import MovingScene, sample_clip
from litelvlm.data.worlds.pictograms.categories import SUPERCATEGORIES, Inventory
from litelvlm.data.worlds.pictograms.scenes import PictogramScene
from litelvlm.data.worlds.pictograms.scenes import sample_scene as sample_pictograms
from litelvlm.data.worlds.shapes.objects import CATEGORIES
from litelvlm.data.worlds.shapes.scenes import sample_scene as sample_shapes

# Seeds from 1_000_000 up belong to training, so no image here can be one a miniature has seen.
SEEDS: Mapping[str, range] = MappingProxyType(
    {
        "train": range(0, 200),
        "val": range(10_000, 10_160),
        "testA": range(20_000, 20_150),
        "testB": range(30_000, 30_150),
    }
)
"""Seeds of the scenes of every split, in both worlds."""
CLIPS_OF_SPLIT = MappingProxyType({"train": 40, "val": 100, "testA": 60, "testB": 60})
"""Clips of every split of moving pictograms, which takes the first seeds of the split."""
TRAINING = Inventory(appearance="seen")
"""What training scenes show; the last picture of categories with several is held out."""
_SHARED = (
    "worlds/base.py",
    "worlds/canvas.py",
    "worlds/noise.py",
    "worlds/referring.py",
)


_DRAWN = ("worlds/pictograms/*.py", "worlds/pictograms/atlas.png", "embedded.py")


def _pictograms(split: str, seed: int, level: str) -> PictogramScene:
    return sample_pictograms(seed, level, TRAINING if split == "train" else Inventory())


def _moving(split: str, seed: int, level: str) -> MovingScene:
    return sample_clip(seed, TRAINING if split == "train" else Inventory())


SHAPES = RenderedData(
    "shapes",
    "easy",
    SEEDS,
    lambda split, seed, level: sample_shapes(seed, level),
    (*_SHARED, "outlines.py", "refer_writer.py", "worlds/shapes/*.py"),
    CATEGORIES,
)
PICTOGRAMS = RenderedData(
    "pictograms",
    "medium",
    SEEDS,
    _pictograms,
    (*_SHARED, "outlines.py", "refer_writer.py", *_DRAWN),
    SUPERCATEGORIES,
)
FRESH = replace(
    PICTOGRAMS,
    name="pictograms-fresh",
    seeds={"testA": range(60_000, 60_150), "testB": range(70_000, 70_150)},
)
EMBEDDED: Mapping[str, RenderedData] = MappingProxyType(
    {
        "embedded": PICTOGRAMS,
        "embedded-pictograms": PICTOGRAMS,
        "embedded-fresh": FRESH,
        "embedded-shapes": SHAPES,
    }
)
"""Every embedded data set by name: pictograms on places, the default; pictograms on which nothing
was chosen, for confirmation; and coloured shapes on noise."""
MOVING = RenderedClips(
    "moving-pictograms",
    "moving",
    {name: seeds[: CLIPS_OF_SPLIT[name]] for name, seeds in SEEDS.items()},
    _moving,
    (*_SHARED, *_DRAWN, "worlds/moving/*.py", "video/write.py"),
)
EMBEDDED_CLIPS: Mapping[str, RenderedClips] = MappingProxyType({"embedded-moving": MOVING})
"""Every embedded data set of clips by name: pictograms that move."""
