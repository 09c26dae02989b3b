"""Recorded parts give the masks of the plain model, bit for bit, and are refused without a GPU.

Torch's tracer takes the place of CUDA graphs (``benchmarks.gpu.graphs.Traced``).
"""

import pytest
import torch
from register_hooks import spare_register
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from benchmarks.gpu.graphs import Traced, counts
from litelvlm import get_pruner, load_model
from litelvlm.analysis.cli.verbs.bench import Bench
from litelvlm.analysis.cli.work.loading import model_of
from litelvlm.analysis.inputs.image_cache import origin_of, with_image_cache
from litelvlm.analysis.studies.efficiency.costs import counted_macs
from litelvlm.models.attribution import Flow
from litelvlm.models.glamm.compiled import check_compile
from litelvlm.models.glamm.graphs import record_parts, recorded_parts
from litelvlm.models.glamm.masks.decoder import encode_image
from litelvlm.models.glamm.quantise import with_quantised_language_model
from litelvlm.replay import record_calls
from tests.glamm_parts import decode

BUDGETS = (None, 48, 16)


def recorded():
    """The miniature with recorded parts."""
    made = load_model("embedded", device="cpu")
    record_parts(made, Traced())
    return made


@pytest.fixture(scope="module")
def other():
    return recorded()


def replays(model):
    return {stage: found["replayed"] for stage, found in counts(model).items()}


def tensors(state):
    return [*state.clip.states, state.sam_embeddings, state.clip.pixel_values]


def asked(model, state, text, budget, method="litelvlm"):
    conversation = model.conversation([text])
    pruner = get_pruner(method)
    selection = None if budget is None else pruner.select(model.cues(state, conversation), budget)
    (found,) = model.ground([state], [conversation], [selection])
    return found


@torch.inference_mode()
def test_masks_are_those_of_the_plain_model_bit_for_bit(model, other, data):
    """Several pictures, expressions and budgets; states are kept while others are replayed."""
    samples = [data[i] for i in range(4)]
    expected = [model.encode_image(sample.image()) for sample in samples]
    first = [other.encode_image(sample.image()) for sample in samples]
    second = [other.encode_image(sample.image()) for sample in samples]
    for states in (first, second):
        for state, right in zip(states, expected, strict=True):
            assert all(map(torch.equal, tensors(state), tensors(right)))
    assert replays(other) == {"clip_image": 7, "sam_encoder": 7, "llm": 0}
    kept = []
    for _ in range(2):
        for sample, state, right in zip(samples, first, expected, strict=True):
            for expression in sample.expressions[:2]:
                for budget in BUDGETS:
                    found = asked(other, state, expression.sent, budget)
                    plain = asked(model, right, expression.sent, budget)
                    kept.append((found, plain))
    for found, plain in kept:
        assert torch.equal(found.logits, plain.logits)
        assert torch.equal(found.seg_state, plain.seg_state)
    made = counts(other)["llm"]
    assert made["replayed"] >= len(kept) // 2
    assert made["recorded"] == made["held"] <= made["plain"]
    for state, right in zip(first, expected, strict=True):
        assert all(map(torch.equal, tensors(state), tensors(right)))


def test_a_whole_call_and_copies_with_other_options_share_the_recordings(model, other, data):
    image, text = data[1].image(), data[1].expressions[0].sent
    for changes in ({"read": "seg"}, {"crop": "pad"}):
        plain, found = model.with_options(**changes), other.with_options(**changes)
        before = replays(other)
        for _ in range(3):
            right = plain.segment(image, text, "litelvlm", 48)
            assert torch.equal(found.segment(image, text, "litelvlm", 48).logits, right.logits)
        assert all(replays(other)[stage] > count for stage, count in before.items())


@pytest.mark.parametrize("method", ["fastv", "restore", "litelvlm"])
def test_passes_that_are_no_whole_prompt_run_as_written(model, other, data, method):
    """Tokens dropped inside the language model, calibrated attention, generated answers."""
    image, text = data[0].image(), data[0].expressions[0].sent
    answer = "generated" if method == "litelvlm" else "forced"
    before = replays(other)["llm"]
    for _ in range(3):
        right = model.segment(image, text, method, 48, answer=answer)
        found = other.segment(image, text, method, 48, answer=answer)
        assert torch.equal(found.logits, right.logits)
        assert found.answers == right.answers
    assert replays(other)["llm"] == before


def test_hooks_inside_recorded_blocks_are_called(model, other, data):
    picture = data[0].image()
    for _ in range(3):
        other.encode_image(picture)
    states = spare_register(model, other, picture)
    assert torch.equal(states.found, states.plain)
    assert not torch.equal(states.plain, states.untouched)
    before = replays(other)["clip_image"]
    other.encode_image(picture)
    assert replays(other)["clip_image"] == before + 1


@torch.inference_mode()
def test_hidden_states_can_be_asked_for_and_their_hooks_stay(model, data):
    made, picture = recorded(), data[0].image()
    crop, expected = model.tower.pixel_values(picture), model.encode_image(picture)
    for _ in range(3):
        made.encode_image(picture)
    whole = made.tower.clip.vision_model(crop, output_hidden_states=True).hidden_states
    assert all(map(torch.equal, whole[:-1], expected.clip.states))
    assert all(map(torch.equal, tensors(made.encode_image(picture)), tensors(expected)))
    assert replays(made) == {"clip_image": 2, "sam_encoder": 3, "llm": 0}


def test_gradients_flow_and_attention_can_be_read(model, other, data):
    image, text = data[0].image(), data[0].expressions[0].sent
    flows = []
    for one in (model, other):
        query = one.query(image, text)
        flows.append(query.flow(query.targets()))
    for name in Flow._fields:
        assert torch.equal(getattr(flows[1], name), getattr(flows[0], name))
    assert flows[1].relevance.abs().sum() > 0


def test_gradients_of_inputs_flow_through_recorded_parts(model, other, data):
    picture = data[0].image()
    state = other.encode_image(picture)
    crop = model.tower.pixel_values(picture)
    embeds = model.project(state.tokens.clone())[None]
    places = torch.arange(embeds.shape[1])[None]
    before, found = replays(other), []
    for one in (model, other):
        pixels, prompt = crop.clone().requires_grad_(), embeds.clone().requires_grad_()
        for _ in range(3):
            one.tower.image(pixels).patch_tokens.square().sum().backward()
            decode(one.llama, prompt, places).square().sum().backward()
        found.append((pixels.grad, prompt.grad))
    for plain, own in zip(*found, strict=True):
        assert torch.equal(plain, own)
        assert plain.abs().sum() > 0
    assert replays(other) == before


def test_operations_are_counted_although_kernels_could_be_replayed(model, other, data):
    image, text = data[0].image(), [data[0].expressions[0].sent]
    found = []
    for one in (model, other):
        call = one.timed_call(image, text, None, one.n_tokens)
        for _ in range(3):
            call.prefill()
            call.parts()["sam_encoder"]()
        found.append(counted_macs({"llm": call.prefill, **call.parts()}))
    assert found[0] == found[1]
    assert min(found[1].values()) > 0


@torch.inference_mode()
def test_the_number_of_recordings_is_bounded(model, data):
    other = recorded()
    own = record_calls(other.llama.model, Traced(), most=3)
    state, right = other.encode_image(data[0].image()), model.encode_image(data[0].image())
    text = data[0].expressions[0].sent
    for budget in (8, 9, 10, 11, 12, 12, 12, 8, 9, 9, 9):
        found, plain = (asked(*pair, text, budget) for pair in ((other, state), (model, right)))
        assert torch.equal(found.logits, plain.logits)
        assert len(own) <= 3
    assert own.n_recorded == 2
    assert own.n_replayed == 4


def test_weights_changed_in_place_are_seen_and_replaced_ones_recorded_anew(data):
    other = recorded()
    image, text = data[0].image(), data[0].expressions[0].sent
    for _ in range(3):
        before = other.segment(image, text, "litelvlm", 48)
    for part in recorded_parts(other).values():
        weight = next(p for p in part.parameters() if p.ndim == 2)
        weight.data.mul_(1.5)
    twin = load_model("embedded", device="cpu")
    twin.load_state_dict(other.state_dict())
    changed = twin.segment(image, text, "litelvlm", 48)
    assert torch.equal(other.segment(image, text, "litelvlm", 48).logits, changed.logits)
    assert not torch.equal(changed.logits, before.logits)
    fresh = load_model("embedded", device="cpu")
    other.load_state_dict(fresh.state_dict(), assign=True)
    del fresh
    for _ in range(3):
        assert torch.equal(other.segment(image, text, "litelvlm", 48).logits, before.logits)
    assert [found["recorded"] for found in counts(other).values()] == [2, 2, 2]


def test_a_recorded_model_has_its_own_name_and_images(model, other, tmp_path):
    assert other.name == "embedded (cuda_graphs)"
    assert other.with_options(read="seg").name == "embedded (cuda_graphs)[read=seg]"
    assert other.digest == model.digest
    assert origin_of(other) == origin_of(model)
    assert with_image_cache(other, tmp_path).state_settings != model.state_settings
    with pytest.raises(ValueError, match="is compiled, and packed weights are not"):
        with_quantised_language_model(other, "int8")


def test_without_a_gpu_or_with_other_kernels_it_is_refused_before_loading():
    refused = "compile='cuda_graphs' records the kernels of a GPU, and the device is 'cpu'; use "
    with pytest.raises(ValueError, match=f"^{refused}.*'inductor', 'aot_eager', 'eager', or leave"):
        load_model("missing", device="cpu", compile="cuda_graphs")
    with pytest.raises(ValueError, match=refused):
        model_of(Bench(compile="cuda_graphs", device="cpu"))
    with pytest.raises(ValueError, match="attention kernel 'sdpa' alone, got 'eager'"):
        load_model("embedded", device="cuda", attn="eager", compile="cuda_graphs")
    with pytest.raises(ValueError, match=r"do not go together.*leave one out"):
        load_model("embedded", quantise="int8", compile="cuda_graphs")
    assert check_compile("cuda_graphs", torch.device("cuda", 1)) == "cuda_graphs"


class OffGpu(TorchDispatchMode):
    """Collects operators that touch memory of the CPU, for whose copy a stream would wait."""

    def __init__(self):
        super().__init__()
        self.found, self.n = set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.n += 1
        leaves = tree_leaves((args, kwargs, out))
        if any(isinstance(leaf, torch.Tensor) and leaf.device.type != "cuda" for leaf in leaves):
            self.found.add(str(func))
        return out


def pretended(part, dtype):
    """Let the weights of a part lie on a GPU that only exists as shapes."""
    for owner in part.modules():
        for table in (owner._parameters, owner._buffers):
            for name, weight in table.items():
                if weight is not None:
                    kind = dtype if weight.is_floating_point() else weight.dtype
                    shape = weight.shape, weight.stride()
                    table[name] = torch.empty_strided(*shape, device="cuda", dtype=kind)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_that_is_recorded_waits_for_the_processor(dtype):
    """No value is read by Python, and no tensor lies on the CPU; the library's SAM has such."""
    made = load_model("embedded", device="cpu")
    side, width = made.sam_image_size, made.llama.config.hidden_size
    with FakeTensorMode(), torch.no_grad():
        for part in recorded_parts(made).values():
            pretended(part, dtype)
        crop, square, embeds = (
            torch.empty(shape, device="cuda", dtype=dtype)
            for shape in ((1, 3, 168, 168), (1, 3, side, side), (1, 40, width))
        )
        places = torch.empty(1, 40, device="cuda", dtype=torch.int64)
        with OffGpu() as watch:
            made.tower.image_states(crop)
            encode_image(made.sam, square)
            decode(made.llama, embeds, places)
        assert watch.n > 100
        assert not watch.found
        for layer in made.sam.vision_encoder.layers:
            layer.attn.__class__ = SamVisionSdpaAttention
        with OffGpu() as watch:
            encode_image(made.sam, square)
        assert watch.found
