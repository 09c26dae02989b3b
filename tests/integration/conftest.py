"""Models and pictures shared by the integration tests; models are read-only."""

import numpy as np
import pytest
import torch
from PIL import Image
from towers import SIZE, open_clip_tower

from litelvlm import load_model, load_refer, load_vlm
from tests.glamm_parts import EMBEDDED
from tests.tiny_vlms.folder import write_tiny
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm


@pytest.fixture(scope="session")
def model():
    """The shipped miniature on the CPU in float32."""
    return load_model("embedded", device="cpu")


@pytest.fixture(scope="session")
def data():
    """Held-out scenes."""
    return load_refer("embedded", split="val")


@pytest.fixture(scope="session")
def sample(data):
    """One of them, with its expressions."""
    return data[0]


@pytest.fixture(scope="session")
def state(model, data):
    """One encoded image."""
    return model.encode_image(data[0].image())


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders of a tiny LLaVA and a tiny Qwen2.5-VL; read-only."""
    out, clip = tmp_path_factory.mktemp("tiny"), EMBEDDED["embedded"] / "clip"
    return {kind: write_tiny(kind, out / kind, clip) for kind in ("llava", "qwen2_5_vl")}


@pytest.fixture(scope="session")
def models(folders):
    """The models in them."""
    return {kind: load_vlm(folder, device="cpu") for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def llava():
    """A tiny LLaVA for the tests of one file."""
    return tiny_vlm("llava")


@pytest.fixture
def one():
    """A prompt for it."""
    return tiny_prompt("llava")


@pytest.fixture
def batch():
    """Two prompts of different lengths, padded on the left."""
    return tiny_prompt("llava", (1, 1), (4, 9))


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
