"""A recorded call says what the plain call says, and runs as written where a replay could not."""

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.graphs import Traced
from litelvlm import replay
from litelvlm.replay import record_calls, recordings_of, replayed


class Small(nn.Module):
    """Two layers; gives an inner state too."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.offset = nn.Buffer(torch.ones(2))

    def forward(self, value):
        inner = self.first(value).tanh()
        return inner, self.second(inner) + self.offset


@pytest.fixture
def part():
    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


@pytest.fixture
def own(part):
    return record_calls(part, Traced())


def value(rows=5, seed=0):
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def run(part, given):
    return replayed(part, lambda inputs: part(*inputs), (given,))


@torch.no_grad()
def agrees(part, given):
    """Whether the call gives what the module gives."""
    return all(torch.equal(a, b) for a, b in zip(run(part, given), part(given), strict=True))


@torch.no_grad()
def settled(part, given=None):
    """Call until a replay answers."""
    for seed in range(3):
        run(part, value(seed=seed) if given is None else given)


def test_a_shape_is_recorded_when_it_comes_again(part, own):
    seen = []
    for seed in range(5):
        assert agrees(part, value(seed=seed))
        seen.append((own.n_plain, own.n_recorded, own.n_replayed))
    assert seen == [(1, 0, 0), (1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 4)]
    assert agrees(part, value(rows=6))
    assert (own.n_plain, own.n_recorded, len(own)) == (2, 1, 1)
    assert recordings_of(part) is own


@torch.no_grad()
def test_outputs_and_inputs_belong_to_the_caller(part, own):
    settled(part)
    given = [value(seed=seed) for seed in (7, 8, 9)]
    untouched = [one.clone() for one in given]
    kept = [run(part, one) for one in given]
    for one, before, found in zip(given, untouched, kept, strict=True):
        assert torch.equal(one, before)
        assert all(torch.equal(a, b) for a, b in zip(found, part(one), strict=True))
    kept[0][1].fill_(5)
    assert agrees(part, given[0])
    assert own.n_replayed == 6


def test_the_number_of_recordings_is_bounded(part):
    own = record_calls(part, Traced(), most=2)
    for rows in (1, 1, 2, 2, 1, 3, 1, 3, 3):
        assert agrees(part, value(rows))
        assert len(own) <= 2
    # 2 was used least recently, so 3 took its place and 1 stayed.
    assert (own.n_recorded, len(own), own.n_plain) == (3, 2, 3)
    assert agrees(part, value(2))
    assert own.n_plain == 4


def test_shapes_that_come_back_too_late_are_never_recorded(part):
    own = record_calls(part, Traced(), most=2)
    for rows in (1, 2, 3) * 3:
        assert agrees(part, value(rows))
    assert (own.n_recorded, own.n_plain) == (0, 9)


@pytest.mark.parametrize(
    "hook",
    [
        lambda part, note: part.register_forward_hook(note),
        lambda part, note: part.second.register_forward_hook(note),
        lambda part, note: part.second.register_forward_pre_hook(note),
        lambda part, note: nn.modules.module.register_module_forward_hook(note),
        lambda part, note: nn.modules.module.register_module_forward_pre_hook(note),
    ],
    ids=["own", "inside", "pre", "all", "all-pre"],
)
@torch.no_grad()
def test_hooks_are_called(part, own, hook):
    settled(part)
    called = []
    handle = hook(part, lambda *_: called.append(1))
    try:
        run(part, value())
    finally:
        handle.remove()
    assert called
    before = own.n_replayed
    assert agrees(part, value())
    assert own.n_replayed == before + 1


@torch.no_grad()
def test_a_hook_that_changes_a_state_changes_the_output(part, own):
    settled(part)
    with part.first.register_forward_hook(lambda module, args, out: out + 1):
        assert agrees(part, value())
        changed = run(part, value())
    assert not torch.equal(changed[0], run(part, value())[0])
    assert own.n_replayed == 3


@torch.no_grad()
def test_training_mode_and_another_forward_run_as_written(part, own):
    settled(part)
    part.second.train()
    run(part, value())
    part.second.eval()
    part.first.forward = lambda given: given @ part.first.weight.T
    assert agrees(part, value())
    del part.first.forward
    assert own.n_replayed == 2
    assert agrees(part, value())
    assert own.n_replayed == 3


def test_gradients_flow(part, own):
    settled(part)
    given = value().requires_grad_(True)
    run(part, given)[1].sum().backward()
    expected = given.detach().clone().requires_grad_(True)
    part(expected)[1].sum().backward()
    assert torch.equal(given.grad, expected.grad)
    assert given.grad.abs().sum() > 0
    assert own.n_replayed == 2


def test_hooks_of_the_backward_pass_are_called(part, own):
    settled(part)
    called = []
    with part.second.register_full_backward_hook(lambda *_: called.append(1)):
        run(part, value().requires_grad_(True))[1].sum().backward()
    assert called == [1]


class Calls(TorchFunctionMode):
    """Counts calls of torch's functions."""

    n = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n += 1
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    """Counts torch's operators."""

    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += 1
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_modes_that_watch_operators_see_them(part, own):
    settled(part)
    for mode in (Calls(), Operators()):
        with mode:
            run(part, value())
        assert mode.n > 3
    with FlopCounterMode(display=False) as counter:
        run(part, value())
    assert counter.get_total_flops() == 2 * 5 * (3 * 4 + 4 * 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert run(part, value())[0].dtype == torch.bfloat16
    assert own.n_replayed == 2


@torch.no_grad()
def test_weights_that_change_in_place_are_seen(part, own):
    settled(part)
    part.first.weight.mul_(2)
    part.offset.zero_()
    assert agrees(part, value())
    assert (own.n_recorded, own.n_replayed) == (1, 3)


def replace_weight(part):
    part.second.weight = nn.Parameter(part.second.weight * 2, requires_grad=False)


def replace_data(part):
    part.second.weight.data = part.second.weight.data * 2


def replace_buffer(part):
    part.offset = part.offset * 2


def replace_module(part):
    torch.manual_seed(1)
    part.second = nn.Linear(4, 2).eval().requires_grad_(False)


def change_class(part):
    part.second.__class__ = type(
        "Other", (nn.Linear,), {"forward": lambda self, given: 2 * nn.Linear.forward(self, given)}
    )


@pytest.mark.parametrize(
    "change", [replace_weight, replace_data, replace_buffer, replace_module, change_class]
)
@torch.no_grad()
def test_weights_and_classes_that_are_replaced_drop_the_recordings(part, own, change):
    settled(part)
    before = run(part, value())[1]
    change(part)
    assert agrees(part, value())
    assert not torch.equal(run(part, value())[1], before)
    assert own.n_recorded == 2
    part.double()
    assert replayed(part, lambda inputs: part(*inputs), (value().double(),))[1].dtype.itemsize == 8
    assert len(own) == 0


@torch.no_grad()
def test_inputs_of_another_layout_or_type_get_their_own_recording(part, own):
    settled(part)
    columns = value(rows=5).T.contiguous().T
    for _ in range(3):
        assert agrees(part, columns)
    assert own.n_recorded == 2
    part.double()
    for _ in range(3):
        assert agrees(part, value().double())
    assert (own.n_recorded, len(own)) == (3, 1)


def flash(on):
    torch.backends.cuda.enable_flash_sdp(not on)


def tf32(on):
    torch.backends.cuda.matmul.fp32_precision = "tf32" if on else "none"


@pytest.mark.parametrize("choose", [flash, tf32, torch.use_deterministic_algorithms])
@torch.no_grad()
def test_settings_that_choose_kernels_get_their_own_recording(part, own, choose):
    choose(False)  # whatever another test left
    settled(part)
    choose(True)
    try:
        assert agrees(part, value())
        assert own.n_replayed == 2
    finally:
        choose(False)
    assert agrees(part, value())
    assert own.n_replayed == 3


@pytest.mark.parametrize("first", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("later", [torch.inference_mode, torch.no_grad])
def test_a_recording_serves_calls_with_and_without_inference_mode(part, own, first, later):
    with first():
        for seed in range(3):
            run(part, value(seed=seed))
    with later():
        found = run(part, value(seed=9) + 0)
        assert all(torch.equal(a, b) for a, b in zip(found, part(value(seed=9)), strict=True))
        assert found[0].is_inference() == (later is torch.inference_mode)
    assert own.n_replayed == 3


class Noting(Traced):
    """Notes whether gradients and inference mode are on during a recording."""

    modes = None

    def record(self, call, device):
        self.modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        return super().record(call, device)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_recording_is_made_without_gradients_and_outside_of_inference_mode(part, mode):
    recorder = Noting()
    record_calls(part, recorder)
    with mode():
        settled(part)
    assert recorder.modes == (False, False)


@pytest.mark.parametrize("odd", ["device", "type", "stream"])
@torch.no_grad()
def test_calls_that_the_recorder_does_not_serve_run_as_written(part, odd):
    recorder = Traced()
    given = value()
    if odd == "device":
        recorder.device_type = "cuda"
    elif odd == "stream":
        recorder.is_free = lambda device: False
    else:
        given = nn.Parameter(given, requires_grad=False)
    own = record_calls(part, recorder)
    for _ in range(3):
        assert agrees(part, given)
    assert (own.n_plain, own.n_recorded) == (3, 0)


class Failing(Traced):
    """A recorder whose recording fails."""

    error: Exception = RuntimeError("operation not permitted when stream is capturing")

    def record(self, call, device):
        raise self.error


@torch.no_grad()
def test_a_call_that_cannot_be_recorded_is_refused_with_the_fix(part):
    record_calls(part, Failing())
    run(part, value())
    with pytest.raises(
        RuntimeError, match=r"Small cannot be recorded \(operation.*without compile"
    ):
        run(part, value())
    full = Failing()
    full.error = torch.OutOfMemoryError("CUDA out of memory")
    record_calls(part, full)
    run(part, value())
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory$"):
        run(part, value())


def test_a_copy_is_plain(part, own):
    settled(part)
    other = deepcopy(part)
    assert recordings_of(other) is None
    with torch.no_grad():
        run(other, value())
    assert own.n_plain == 1


def test_another_attention_kernel_drops_the_recordings(part, own):
    class Config:
        _attn_implementation = "sdpa"

    part.config = Config()
    settled(part)
    assert len(own) == 1
    part.config._attn_implementation = "eager"
    assert agrees(part, value())
    assert len(own) == 0


def test_the_foundation_names_every_weight(part):
    found = replay.foundation(part)
    for weight in (*part.parameters(), *part.buffers()):
        assert weight.data_ptr() in found
    with nullcontext(part.train()):
        assert replay.foundation(part) is None
