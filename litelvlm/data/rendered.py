"""Data sets of rendered scenes: drawn once, kept in the cache folder, read like any other."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from litelvlm.data.cache import kept_folder
from litelvlm.data.layout import FOLDER
from litelvlm.data.refer_writer import fill_refer
from litelvlm.data.worlds.base import Scene


@dataclass(frozen=True)
class RenderedData:
    """A data set that follows from a generator's source, a level and seeds.

    Attributes:
        name: Begins the folder's name in the cache.
        level: Difficulty of the scenes.
        seeds: Seeds of every split.
        sample: From a split, a seed and a level to the scene.
        categories: Every category of the world with its supercategory.
        sources: Files below this folder that a pixel, a mask, a sentence or a file depends on.
    """

    name: str
    level: str
    seeds: Mapping[str, range]
    sample: Callable[[str, int, str], Scene]
    categories: Mapping[str, str]
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
        """The `Refer_Segm` folder of the data set, made on first use (some seconds).

        Raises:
            PermissionError: If the cache folder cannot be written.
        """

        def fill(folder: Path) -> None:
            scenes = {split: self._scenes(split) for split in self.seeds}
            fill_refer(folder / FOLDER, scenes, self.categories)

        return kept_folder(f"{self.name}-{self.digest()[:16]}", fill) / FOLDER

    def _scenes(self, split: str) -> Iterator[Scene]:
        for seed in tqdm(self.seeds[split], desc=f"{self.name}, {split}", unit="image"):
            yield self.sample(split, seed, self.level)
