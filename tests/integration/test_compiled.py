"""Compiled parts give the masks of the plain model, and say what they need."""

import pytest
import torch
from register_hooks import spare_register
from torch._dynamo.utils import counters

from litelvlm import get_pruner, load_model
from litelvlm.analysis.cli.verbs.bench import Bench
from litelvlm.analysis.cli.work.loading import model_of, studied_of
from litelvlm.analysis.inputs.image_cache import origin_of, with_image_cache
from litelvlm.models.attribution import Flow
from litelvlm.models.base import Request
from litelvlm.models.glamm import compiled
from litelvlm.models.glamm.quantise import with_quantised_language_model

LOGITS = 1e-3
"""Largest difference of mask logits, which span about 40, that another order of additions makes."""


@pytest.fixture(scope="module", params=["eager", "aot_eager"])
def other(request):
    torch._dynamo.reset()
    counters.clear()
    yield load_model("embedded", device="cpu", compile=request.param)
    torch._dynamo.reset()


def test_masks_are_those_of_the_plain_model(model, other, data):
    sample = data[0]
    for expression in sample.expressions[:3]:
        for budget in (48, 16):
            pruner = get_pruner("litelvlm")
            asked = (sample.image(), expression.sent, pruner, budget)
            plain, found = model.segment(*asked), other.segment(*asked)
            assert torch.equal(plain.selection.indices, found.selection.indices)
            assert (plain.logits - found.logits).abs().max() < LOGITS
            unsure = plain.logits.abs() < LOGITS
            assert torch.equal(plain.mask[~unsure], found.mask[~unsure])
    # Blocks of CLIP, SAM and the language model were traced, and equal ones once: there are more
    # blocks than graphs.
    blocks = [
        *other.tower.clip.vision_model.encoder.layers,
        *other.sam.vision_encoder.layers,
        *other.llama.model.layers,
    ]
    assert 3 <= counters["stats"]["unique_graphs"] < 2 * len(blocks)


def test_the_shared_path_runs_the_language_model_as_it_is(model, other, state, data):
    other.encode_image(data[0].image())
    requests = [
        Request(model.conversation([expression.sent]), None)
        for expression in data[0].expressions[:3]
    ]
    before = counters["stats"]["unique_graphs"]
    for plain, found in zip(
        model.grounder(8)(state, requests), other.grounder(8)(state, requests), strict=True
    ):
        assert torch.equal(plain.logits, found.logits)
    assert counters["stats"]["unique_graphs"] == before


def test_hooks_inside_a_compiled_block_are_called_also_after_calls_without(model, other, data):
    """A graph that was traced without a hook must not serve a call with one."""
    picture = data[0].image()
    other.encode_image(picture)
    states = spare_register(model, other, picture)
    torch.testing.assert_close(states.found, states.plain, rtol=0, atol=1e-5)
    assert not torch.allclose(states.plain, states.untouched, rtol=0, atol=1e-3)


def test_gradients_flow_through_what_layers_compute_inside(model, other, data):
    image, text = data[0].image(), data[0].expressions[0].sent
    flows = []
    for one in (model, other):
        query = one.query(image, text)
        flows.append(query.flow(query.targets()))
    for name in Flow._fields:
        torch.testing.assert_close(
            getattr(flows[1], name), getattr(flows[0], name), rtol=1e-3, atol=1e-5
        )


def test_packed_weights_are_not_compiled(other):
    with pytest.raises(ValueError, match="is compiled, and packed weights are not"):
        with_quantised_language_model(other, "int8")


def test_a_compiled_model_has_its_own_name_and_images(model, other, tmp_path):
    assert other.name == f"embedded ({other.compiled})"
    assert other.with_options(read="seg").name == f"embedded ({other.compiled})[read=seg]"
    assert other.with_options(read="seg").compiled == other.compiled
    assert other.digest == model.digest
    assert origin_of(other) == origin_of(model)
    assert with_image_cache(other, tmp_path).state_settings != model.state_settings


def test_what_cannot_be_compiled_is_refused_before_loading(monkeypatch):
    with pytest.raises(ValueError, match="inductor"):
        load_model("embedded", compile="fast")
    with pytest.raises(ValueError, match="leave one out"):
        load_model("embedded", quantise="int8", compile="eager")
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler.*looked for"):
        load_model("embedded", device="cpu", compile="inductor")
    monkeypatch.setenv("CXX", "missing-compiler")
    with pytest.raises(ValueError, match="CXX names 'missing-compiler'"):
        compiled.check_compile("inductor", cpu)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: f"/bin/{name}")
    assert compiled.check_compile("inductor", cpu) == "inductor"
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert compiled.check_compile("inductor", cpu) == "inductor"
    with pytest.raises(ValueError, match="triton"):
        compiled.check_compile("inductor", gpu)
    assert compiled.check_compile("aot_eager", gpu) == "aot_eager"
    assert compiled.check_compile(None, gpu) is None


def test_the_command_takes_the_backend(monkeypatch):
    bench = Bench(compile="eager", device="cpu")
    assert model_of(bench).compiled == "eager"
    with pytest.raises(ValueError, match="--compile goes with a GLaMM"):
        studied_of(Bench(compile="eager", model="vlm:x"))
