"""Data sets of rendered scenes or clips: drawn once, kept in the cache folder, read like others."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tqdm.auto import tqdm

from litelvlm.data.cache import kept_folder
from litelvlm.data.layout import FOLDER
from litelvlm.data.refer_writer import fill_refer
from litelvlm.data.video.write import fill_mevis
from litelvlm.data.worlds.base import Scene
from litelvlm.data.worlds.moving.clips import MovingScene

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Rendered(ABC, Generic[Drawn]):
    """A data set that follows from a generator's source, a level and seeds.

    Attributes:
        name: Begins the folder's name in the cache.
        level: Difficulty of the scenes.
        seeds: Seeds of every split.
        sample: From a split, a seed and a level to the scene or clip.
        sources: Files below this folder that a pixel, a mask, a sentence or a file depends on.
    """

    name: str
    level: str
    seeds: Mapping[str, range]
    sample: Callable[[str, int, str], Drawn]
    sources: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 over level, seeds and the generator's files, so that no data set is ever stale.

        Raises:
            FileNotFoundError: If a pattern of ``sources`` finds no file.
        """
        digest = hashlib.sha256()
        seeds = {split: [part.start, part.stop] for split, part in self.seeds.items()}
        digest.update(json.dumps([self.level, seeds]).encode())
        room = Path(__file__).parent
        for pattern in self.sources:
            files = sorted(room.glob(pattern))
            if not files:
                raise FileNotFoundError(f"no file {room / pattern}; install the package again")
            for file in files:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def root(self) -> Path:
        """The folder of the data set, made on first use (some seconds).

        Raises:
            PermissionError: If the cache folder cannot be written.
        """

        def fill(folder: Path) -> None:
            scenes = {split: self._scenes(split) for split in self.seeds}
            self.fill(folder, scenes)

        return kept_folder(f"{self.name}-{self.digest()[:16]}", fill)

    def _scenes(self, split: str) -> Iterator[Drawn]:
        for seed in tqdm(self.seeds[split], desc=f"{self.name}, {split}", unit="scene"):
            yield self.sample(split, seed, self.level)

    @abstractmethod
    def fill(self, folder: Path, scenes: Mapping[str, Iterator[Drawn]]) -> None:
        """Write the scenes of every split into a new folder."""


@dataclass(frozen=True)
class RenderedData(Rendered[Scene]):
    """Rendered images in the layout of RefCOCO.

    Attributes:
        categories: Every category of the world with its supercategory.
    """

    categories: Mapping[str, str]

    def root(self) -> Path:
        """The `Refer_Segm` folder of the data set (see the base class)."""
        return super().root() / FOLDER

    def fill(self, folder: Path, scenes: Mapping[str, Iterator[Scene]]) -> None:
        """As in the base class."""
        fill_refer(folder / FOLDER, scenes, self.categories)


@dataclass(frozen=True)
class RenderedClips(Rendered[MovingScene]):
    """Rendered clips in the layout of MeViS."""

    def fill(self, folder: Path, scenes: Mapping[str, Iterator[MovingScene]]) -> None:
        """As in the base class."""
        fill_mevis(folder, scenes)
