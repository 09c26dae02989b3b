"""Fewer bits for the language model: what changes, what does not, and what is missing."""

import pytest
import torch

from litelvlm import get_pruner, load_model
from litelvlm.models.glamm import quantise
from litelvlm.models.glamm.quantise import WAYS, weight_bytes

BITS = {"int8": 8, "nf4": 4, "nf4_double": 4, "fp4": 4}
ERRORS = {"int8": 0.05, "nf4": 0.3, "nf4_double": 0.3, "fp4": 0.5}
"""Largest relative differences of the [SEG] state that are fewer bits, and no mistake."""


def test_a_missing_backend_is_named(monkeypatch):
    monkeypatch.setattr(quantise, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"bitsandbytes, which is not installed.*bitsandbytes>="):
        load_model("embedded", quantise="nf4")


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="unknown way to quantise 'nf8'; did you mean 'nf4'"):
        load_model("embedded", quantise="nf8")


def test_every_way_is_tested():
    assert set(BITS) == set(ERRORS) == set(WAYS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_the_language_model_alone_gets_fewer_bits(model, sample, way):
    fewer = load_model("embedded", quantise=way)
    assert fewer.name == f"embedded ({way})"
    for part in ("projector", "seg_head", "sam", "tower"):
        own, other = getattr(model, part).state_dict(), getattr(fewer, part).state_dict()
        assert all(torch.equal(own[name], other[name]) for name in own)
    assert torch.equal(model.llama.lm_head.weight, fewer.llama.lm_head.weight)
    layers, packed = model.llama.model.layers, fewer.llama.model.layers
    assert weight_bytes(packed) < weight_bytes(layers) * (BITS[way] / 32 + 0.1)
    text, image = sample.expressions[0].sent, sample.image()
    for pruner, budget in ((None, None), (get_pruner("litelvlm"), 48), (get_pruner("fastv"), 60)):
        few = fewer.segment(image, text, pruner, budget=budget)
        whole = model.segment(image, text, pruner, budget=budget)
        error = (few.seg_state - whole.seg_state).norm() / whole.seg_state.norm()
        assert 0 < error < ERRORS[way]
        if pruner is not None and pruner.name == "litelvlm":
            # The choice is CLIP's, which keeps every bit.
            assert torch.equal(few.selection.indices, whole.selection.indices)
