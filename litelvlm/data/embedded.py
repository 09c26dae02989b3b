"""The embedded dataset: procedural scenes, made once, kept in the cache folder, read like any other dataset."""

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from tqdm.auto import tqdm

from litelvlm.data.files import remove_debris
from litelvlm.data.layout import FOLDER
from litelvlm.data.refer_writer import write_refer
from litelvlm.data.worlds.shapes.scenes import Scene, sample_scene

EMBEDDED_LEVEL = "easy"
# Seeds from 1_000_000 up belong to training, so no image here can be one the miniature has seen.
EMBEDDED_SEEDS = {
    "train": range(0, 200),
    "val": range(10_000, 10_160),
    "testA": range(20_000, 20_150),
    "testB": range(30_000, 30_150),
}
_GENERATOR_FILES = (
    "world.py",
    "expressions.py",
    "render.py",
    "scenes.py",
    "outlines.py",
    "refer_writer.py",
)


def cache_folder() -> Path:
    """Where generated data is kept: `$LITELVLM_CACHE`, else `~/.cache/litelvlm`."""
    chosen = os.environ.get("LITELVLM_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "litelvlm"


def generator_digest() -> str:
    """SHA-256 over level, seeds and the generator's source: any change makes another dataset, never a stale one."""
    digest = hashlib.sha256()
    seeds = {split: [seeds.start, seeds.stop] for split, seeds in EMBEDDED_SEEDS.items()}
    digest.update(json.dumps([EMBEDDED_LEVEL, seeds]).encode())
    for name in _GENERATOR_FILES:
        digest.update(hashlib.sha256(files("litelvlm.data").joinpath(name).read_bytes()).digest())
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
                root, {split: _scenes(split, seeds) for split, seeds in EMBEDDED_SEEDS.items()}
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


def _scenes(split: str, seeds: range) -> Iterator[Scene]:
    for seed in tqdm(seeds, desc=f"embedded scenes, {split}", unit="image"):
        yield sample_scene(seed, EMBEDDED_LEVEL)
