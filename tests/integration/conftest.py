"""Models, pictures and packs shared by the integration tests; models are read-only."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from towers import SIZE, open_clip_tower

from benchmarks.gpu import pack
from benchmarks.gpu.parts import PARTS
from litelvlm import load_model, load_refer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def model():
    """The shipped miniature on the CPU in float32."""
    return load_model("embedded", device="cpu")


@pytest.fixture(scope="session")
def data():
    """Held-out scenes."""
    return load_refer("embedded", split="val")


@pytest.fixture(scope="session")
def state(model, data):
    """One encoded image."""
    return model.encode_image(data[0].image())


@pytest.fixture(scope="session")
def native():
    """A small open_clip tower of open_clip's own kind."""
    return open_clip_tower()


@pytest.fixture(scope="session")
def pixels():
    """Two squares for the small towers."""
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def picture():
    """Noise, not square."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def code_pack(tmp_path_factory):
    """A pack without data; what a part reads is put into it and taken out again."""
    home = tmp_path_factory.mktemp("pack")
    (part,) = (part for part in PARTS if part.name == "selectors")
    files = pack.files_of(pack.kinds_of([part], tiny=True))
    assert list(files) == [pack.CODE]
    pack.write(home, files[pack.CODE], json.dumps(pack.listing([part], files)))
    return home


@pytest.fixture
def holding(code_pack):
    """Puts kinds of files into the pack, for one test."""
    names = []

    def put(*kinds):
        for name in (name for of_kind in pack.files_of(kinds).values() for name in of_kind):
            (code_pack / name).parent.mkdir(parents=True, exist_ok=True)
            (code_pack / name).symlink_to(ROOT / name)
            names.append(name)
        return code_pack

    yield put
    for name in names:
        (code_pack / name).unlink()
