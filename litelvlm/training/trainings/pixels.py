"""Small rendered scenes, drawn once into memory-mapped arrays."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from tqdm.auto import tqdm

from litelvlm.arrays import NDArray
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.files import atomic_folder
from litelvlm.data.worlds.pictograms.categories import Appearance, Inventory
from litelvlm.data.worlds.pictograms.objects import LEVELS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene
from litelvlm.training.arrays import (
    make_arrays,
    normalised,
    open_arrays,
    patch_coverage,
    step_indices,
)
from litelvlm.training.trainings.factors import MAX_OBJECTS, Factors
from litelvlm.training.trainings.scenes import NAMES, TINT_NAMES, SceneTable, chosen_categories

SIDE, PATCH, GRID = 80, 10, 8
SCENES = 12_000
FIRST_SEED, HELD_OUT_SEED = 2_000_000, 50_000
_LEVEL = replace(
    LEVELS["easy"],
    name="trainings",
    sizes={"small": 0.30, "large": 0.46},
    repeated=0.0,
    aspects=((1, 1),),
    short_side=SIDE,
)
_LABELS = ("category", "tint", "large")
_LAYOUT = {
    "pixels": ("uint8", (SIDE, SIDE, 3)),
    "coverage": ("uint8", (GRID * GRID, MAX_OBJECTS)),
    "labels": ("int16", (len(_LABELS), MAX_OBJECTS)),
    "place": ("int16", ()),
}
_SCALE = Preprocessing()


def draw_scene(
    seed: int, clutter: int, categories: int, appearance: Appearance = "seen"
) -> PictogramScene:
    """One scene of 1 to ``clutter`` objects of different categories."""
    names = tuple(NAMES[i] for i in chosen_categories(categories))
    most = min(clutter, categories)
    return sample_scene(seed, replace(_LEVEL, objects=(1, most)), Inventory(names, appearance))


def pack_scene(
    scene: PictogramScene,
) -> tuple[
    UInt8[NDArray[np.uint8], "side side 3"],
    UInt8[NDArray[np.uint8], "n m"],
    Int[NDArray[np.int16], "k m"],
    int,
]:
    """Pixels, coverage in 255ths, labels (category, colour, size) and place of one scene."""
    coverage = patch_coverage(scene.masks, GRID, MAX_OBJECTS)
    labels = np.full((len(_LABELS), MAX_OBJECTS), -1, np.int16)
    for slot, thing in enumerate(scene.objects):
        tint = -1 if thing.tint is None else TINT_NAMES.index(thing.tint)
        labels[:, slot] = NAMES.index(thing.category), tint, thing.size == "large"
    return scene.image, coverage, labels, PLACE_NAMES.index(scene.place)


class PixelPool:
    """The first scenes of a clutter and a number of categories, rendered on first use.

    About 20 KB each.

    Args:
        folder: Where the arrays of all pools lie.
        factors: Clutter and number of categories.
        count: Number of scenes.
        first: Seed of the first scene.
        appearance: Which pictures occur.
    """

    def __init__(
        self,
        folder: Path,
        factors: Factors,
        count: int = SCENES,
        first: int = FIRST_SEED,
        appearance: Appearance = "seen",
    ) -> None:
        self.recipe = (factors.clutter, factors.categories, count, first, appearance)
        self.count = count
        name = "scenes-" + "-".join(map(str, self.recipe))
        home = atomic_folder(folder / name, self._render)
        self._arrays = open_arrays(home, _LAYOUT)

    def _render(self, folder: Path) -> None:
        clutter, categories, count, first, appearance = self.recipe
        arrays = make_arrays(folder, _LAYOUT, count)
        for i in tqdm(range(count), desc="rendering scenes", unit="image"):
            packed = pack_scene(draw_scene(first + i, clutter, categories, appearance))
            for name, value in zip(_LAYOUT, packed, strict=True):
                arrays[name][i] = value
        (folder / "recipe.json").write_text(json.dumps(self.recipe))

    def indices(self, seed: int, step: int, batch: int) -> Int[NDArray[np.int64], " b"]:
        """Scene indices of one training step; every epoch has its own order."""
        return step_indices(self.count, seed, step, batch)

    def table(self, indices: Int[NDArray[np.int64], " b"]) -> SceneTable:
        """Scenes as arrays, pixels normalised."""
        rows = {name: array[np.sort(indices)] for name, array in self._arrays.items()}
        category, tint, large = rows["labels"].astype(np.int64).transpose(1, 0, 2)
        return SceneTable(
            category,
            tint,
            large == 1,
            rows["place"].astype(np.int64),
            torch.from_numpy(rows["coverage"]).float() / 255,
            normalised(
                torch.from_numpy(rows["pixels"]).float() / 255, _SCALE.mean, _SCALE.std
            ).contiguous(),
        )
