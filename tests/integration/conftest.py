"""Models shared by the integration tests; they are read-only."""

import pytest

from litelvlm import load_model, load_refer


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
