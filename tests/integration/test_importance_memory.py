"""Memory of gradient signals.

The graph of one batch at a time, and no more per row than batches are planned for.
"""

from contextlib import contextmanager

import pytest
import torch

from litelvlm.analysis.signals.gradients import input_signals, integrated_gradients, layer_signals
from litelvlm.models.attribution import _ROW_MEMORY_BYTES, frozen
from litelvlm.models.glamm.attribution.layers import attention_flow
from litelvlm.models.glamm.attribution.targets import Targets
from tests.glamm_parts import conversation


class Held:
    """A tensor that a backward pass needs; it says when it is let go."""

    def __init__(self, tensor, let_go):
        # Detached: an output that knows its own graph would keep that graph alive.
        self.tensor, self.let_go = tensor.detach(), let_go

    def __del__(self):
        self.let_go(self.tensor)


class DropResult:
    """Bytes that autograd keeps for backward passes, weights left out: now, and at most so far."""

    def __init__(self, model):
        self.weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        self.users, self.now, self.most = {}, 0, 0

    def pack(self, tensor):
        place = tensor.untyped_storage().data_ptr()
        self.users[place] = self.users.get(place, 0) + 1
        if self.users[place] == 1 and place not in self.weights:
            self.now += tensor.untyped_storage().nbytes()
            self.most = max(self.most, self.now)
        return Held(tensor, self.let_go)

    def let_go(self, tensor):
        place = tensor.untyped_storage().data_ptr()
        self.users[place] -= 1
        if self.users[place] == 0 and place not in self.weights:
            self.now -= tensor.untyped_storage().nbytes()


@contextmanager
def counting(model):
    kept = DropResult(model)
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda held: held.tensor):
        yield kept
    assert kept.now == 0


@pytest.fixture(scope="module")
def targets(model, state):
    return Targets(model, state, conversation(["the red circle"]))


@pytest.fixture(scope="module")
def one_row(model, targets):
    """Bytes that a forward pass of one row keeps."""
    with counting(model) as kept, frozen(model):
        value = targets(targets.visual[None].clone().requires_grad_(True))[0, 1]
        del value
    assert kept.most > 1_000_000
    return kept.most


def test_integrated_gradients_keep_one_batch_however_many_steps(model, targets, one_row):
    baseline = torch.zeros_like(targets.visual)
    found = {}
    for steps, rows in ((2, 2), (6, 2), (6, 1)):
        with counting(model) as kept:
            integrated_gradients(targets, 1, baseline, steps, rows)
        found[steps, rows] = kept.most
    assert found[6, 2] == pytest.approx(found[2, 2], rel=0.02)
    assert found[6, 1] == pytest.approx(one_row, rel=0.05)
    assert found[6, 2] == pytest.approx(2 * one_row, rel=0.05)


def test_other_gradients_keep_one_row(model, targets, one_row):
    for signal in (lambda: input_signals(targets, 1), lambda: layer_signals(targets, 1, (0, 1, 2))):
        with counting(model) as kept:
            signal()
        assert kept.most <= 1.05 * one_row


def test_attention_maps_are_kept_for_one_layer_at_a_time(model, targets):
    # Four layers with the full maps of every head: a plain backward pass would keep four of them.
    with counting(model) as kept:
        attention_flow(targets)
    length, heads = len(targets.embeds), 4
    with counting(model) as whole, frozen(model):
        before, model.llama.config._attn_implementation = (
            model.llama.config._attn_implementation,
            "eager",
        )
        try:
            value = targets(targets.visual[None].clone().requires_grad_(True))[0, 1]
            del value
        finally:
            model.llama.config._attn_implementation = before
    assert whole.most > 4 * heads * length**2 * 4
    assert kept.most < 0.5 * whole.most


def test_batches_are_planned_for_what_a_row_keeps(targets, one_row):
    planned = _ROW_MEMORY_BYTES / targets.batch_size
    assert one_row <= planned
    assert planned < 4 * one_row
