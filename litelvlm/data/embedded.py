"""The embedded dataset: procedural scenes, made once and kept in the cache folder."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from tqdm.auto import tqdm

from litelvlm.data.cache import cache_folder
from litelvlm.data.files import remove_debris
from litelvlm.data.layout import FOLDER
from litelvlm.data.refer_writer import write_refer
from litelvlm.data.worlds.shapes.objects import CATEGORIES
from litelvlm.data.worlds.shapes.scenes import ShapeScene, sample_scene

EMBEDDED_LEVEL = "easy"
# Seeds from 1_000_000 up belong to training, so no image here can be one the miniature has seen.
EMBEDDED_SEEDS = {
    "train": range(0, 200),
    "val": range(10_000, 10_160),
    "testA": range(20_000, 20_150),
    "testB": range(30_000, 30_150),
}
# Everything that a pixel, a mask, a sentence or a file depends on.
_GENERATOR = ("worlds/base.py", "worlds/shapes/*.py", "outlines.py", "refer_writer.py")


def generator_digest() -> str:
    """SHA-256 over level, seeds and the generator's source, so that no dataset is ever stale."""
    digest = hashlib.sha256()
    seeds = {split: [seeds.start, seeds.stop] for split, seeds in EMBEDDED_SEEDS.items()}
    digest.update(json.dumps([EMBEDDED_LEVEL, seeds]).encode())
    room = Path(__file__).parent
    for pattern in _GENERATOR:
        for file in sorted(room.glob(pattern)):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def embedded_root() -> Path:
    """The `Refer_Segm` folder of the embedded dataset, made on first use (some seconds).

    Raises:
        PermissionError: If the cache folder cannot be written.
    """
    cache = cache_folder()
    root = cache / f"scenes-{generator_digest()[:16]}"
    if not root.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            remove_debris(cache)
            write_refer(
                root,
                {split: _scenes(split, seeds) for split, seeds in EMBEDDED_SEEDS.items()},
                CATEGORIES,
            )
        except FileExistsError:
            if not root.is_dir():
                raise
            # Another process was faster; its folder is the same.
        except PermissionError as error:
            raise PermissionError(
                f"cannot write {cache}; set LITELVLM_CACHE to a writable folder"
            ) from error
    return root / FOLDER


def _scenes(split: str, seeds: range) -> Iterator[ShapeScene]:
    for seed in tqdm(seeds, desc=f"embedded scenes, {split}", unit="image"):
        yield sample_scene(seed, EMBEDDED_LEVEL)
