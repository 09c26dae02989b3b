"""The tiny VideoGLaMM of the parity fixtures, its SAM2 drawn at random, for tests of the parts."""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from safetensors.torch import load_file

from litelvlm.models.families import load_model
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.options import VideoGlammOptions
from tests.parity.videoglamm_folder import write_videoglamm_folder

RECORDING = Path(__file__).parent / "fixtures" / "parity" / "videoglamm" / "seed0"


def write_folder(folder: Path) -> Path:
    """The checkpoint folder."""
    index = json.loads((RECORDING / "index.json").read_text())
    write_videoglamm_folder(RECORDING, index, folder)
    return folder


def write_changed(folder: Path, place: Path, changes: Mapping[str, object]) -> Path:
    """The same folder in another place, with some fields of its ``config.json`` changed."""
    for path in folder.iterdir():
        if path.name != "config.json":
            (place / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | dict(changes)))
    return place


def load(folder: Path, **options: object) -> VideoGlamm:
    """The model, for eight frames unless told otherwise."""
    chosen = VideoGlammOptions(**{"num_frames": 8, **options})
    return load_model(folder, dtype="float32", device="cpu", options=chosen)


def clip_frames(count: int = 6) -> list[Image.Image]:
    """Frames of the recorded clip, again from the start where there are not enough."""
    pixels = load_file(RECORDING / "stages.safetensors")["short.frames"].numpy()
    return [Image.fromarray(pixels[i % len(pixels)]) for i in range(count)]
