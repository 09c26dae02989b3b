"""Rendered scenes of the family, drawn once into memory-mapped arrays."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm.auto import tqdm

from litelvlm.arrays import NDArray
from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.files import atomic_folder
from litelvlm.data.worlds.pictograms.categories import Appearance, Inventory
from litelvlm.data.worlds.pictograms.objects import LEVELS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.data.worlds.pictograms.scenes import PictogramScene, sample_scene
from litelvlm.training.trainings.factors import MAX_OBJECTS, Factors
from litelvlm.training.trainings.scenes import NAMES, TINT_NAMES, SceneTable, chosen_categories

SIDE, PATCH, GRID = 80, 10, 8
SCENES = 12_000
FIRST_SEED, HELD_OUT_SEED = 2_000_000, 50_000
_LEVEL = replace(
    LEVELS["easy"],
    name="family",
    sizes={"small": 0.30, "large": 0.46},
    repeated=0.0,
    aspects=((1, 1),),
    short_side=SIDE,
)
_LABELS = ("category", "tint", "large")


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
    cells = scene.masks.reshape(-1, GRID, PATCH, GRID, PATCH)
    coverage = np.zeros((GRID * GRID, MAX_OBJECTS), np.uint8)
    coverage[:, : len(scene.masks)] = np.round(255 * cells.mean((2, 4))).reshape(len(cells), -1).T
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
        self._arrays = {
            part: np.load(home / f"{part}.npy", mmap_mode="r")
            for part in ("pixels", "coverage", "labels", "place")
        }

    def _render(self, folder: Path) -> None:
        clutter, categories, count, first, appearance = self.recipe
        shapes: dict[str, tuple[type[np.uint8] | type[np.int16], tuple[int, ...]]] = {
            "pixels": (np.uint8, (count, SIDE, SIDE, 3)),
            "coverage": (np.uint8, (count, GRID * GRID, MAX_OBJECTS)),
            "labels": (np.int16, (count, len(_LABELS), MAX_OBJECTS)),
            "place": (np.int16, (count,)),
        }
        arrays = {
            name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
            for name, (kind, shape) in shapes.items()
        }
        for i in tqdm(range(count), desc="rendering scenes", unit="image"):
            packed = pack_scene(draw_scene(first + i, clutter, categories, appearance))
            for name, value in zip(shapes, packed, strict=True):
                arrays[name][i] = value
        for array in arrays.values():
            array.flush()
        (folder / "recipe.json").write_text(json.dumps(self.recipe))

    def indices(self, seed: int, step: int, batch: int) -> Int[NDArray[np.int64], " b"]:
        """Scene indices of one training step; every epoch has its own order."""
        epoch, at = divmod(step, max(1, self.count // batch))
        order = np.random.default_rng([seed, epoch]).permutation(self.count)
        return order[at * batch : (at + 1) * batch]

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
            normalised(torch.from_numpy(rows["pixels"])),
        )


def normalised(pixels: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Pixels as the image tower reads them."""
    scale = Preprocessing()
    values = (pixels.float() / 255 - torch.tensor(scale.mean)) / torch.tensor(scale.std)
    return values.permute(0, 3, 1, 2).contiguous()
