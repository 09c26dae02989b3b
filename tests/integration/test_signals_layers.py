"""The layer-by-layer backward pass against one plain backward pass.

Also the flows against their definitions.
"""

import pytest
import torch

from litelvlm.models.glamm.attribution.layers import (
    attention_flow,
    attention_weights,
    reverse_sweep,
    weighted_norms,
)
from litelvlm.models.glamm.attribution.targets import Targets, frozen
from tests.glamm_parts import conversation, decode


@pytest.fixture(scope="module")
def targets(model, state):
    return Targets(model, state, conversation(["the red circle"]))


@pytest.fixture(scope="module")
def maps(targets):
    return list(reverse_sweep(targets, 1))[::-1]


def assert_near(a, b):
    """Up to what two attention kernels differ by in float32, on the scale of the whole tensor."""
    torch.testing.assert_close(a, b, atol=1e-5 * float(b.abs().max()), rtol=1e-4)


def test_gradients_equal_one_backward_pass(model, targets, maps):
    config, weights, states = model.llama.config, [], []
    hooks = [
        layer.self_attn.register_forward_hook(lambda module, args, out: weights.append(out[1]))
        for layer in model.llama.model.layers
    ]

    def record(index, hidden_states, position_ids):
        states.append(hidden_states)
        return hidden_states, position_ids

    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with frozen(model):
            embeds = targets.embeds[None].clone().requires_grad_(True)
            positions = torch.arange(embeds.shape[1])[None]
            hidden = decode(model.llama, embeds, positions, before_layer=record)
            value = targets.of_states(hidden[:, list(targets.seg)])[0, 1]
            gradients = torch.autograd.grad(value, [*states, *weights])
    finally:
        config._attn_implementation = before
        for hook in hooks:
            hook.remove()
    for index, found in enumerate(maps):
        assert found.layer == index
        assert_near(found.states, states[index][0].detach())
        assert_near(found.gradient, gradients[index][0])
        assert_near(found.attention, weights[index][0].detach())
        assert_near(found.attention_gradient, gradients[4 + index][0])


def test_value_weighting_is_the_norm_of_what_each_head_adds(model, maps):
    layer, found = model.llama.model.layers[2], maps[2]
    attention = layer.self_attn
    with torch.no_grad():
        values = attention.v_proj(layer.input_layernorm(found.states)).view(-1, 4, 48)
        moved = torch.stack(
            [values[:, h] @ attention.o_proj.weight[:, 48 * h : 48 * h + 48].T for h in range(4)]
        )
    assert_near(found.value_gram.diagonal(dim1=1, dim2=2).sqrt(), moved.norm(dim=-1).T)
    taken = torch.einsum("hj,hjd->jd", found.attention[:, 200], moved)
    assert_near(weighted_norms(found.attention, found.value_gram)[200], taken.norm(dim=-1))


def test_flows_follow_their_recursions(targets, maps):
    flow = attention_flow(targets)
    (query,), image = targets.seg, slice(targets.start, targets.start + 144)
    identity = torch.eye(len(targets.embeds))
    rollout, norm_rollout, relevance = identity, identity, identity
    for layer in maps:
        rollout = (layer.attention.mean(0) + identity) / 2 @ rollout
        weighted = weighted_norms(layer.attention, layer.value_gram)
        norm_rollout = (weighted / weighted.sum(1, keepdim=True) + identity) / 2 @ norm_rollout
        relevance = (
            relevance
            + (layer.attention * layer.attention_gradient).clamp(min=0).mean(0) @ relevance
        )
    assert_near(flow.rollout, rollout[query, image])
    assert_near(flow.norm_rollout, norm_rollout[query, image])
    assert_near(flow.relevance, relevance[query, image])
    assert flow.norm_rows.shape == (4, 4, 144)
    sizes = maps[1].value_gram.diagonal(dim1=1, dim2=2).sqrt()
    assert_near(flow.norm_rows[1, 3], maps[1].attention[3, query, image] * sizes[image, 3])
    assert_near(
        flow.norm_layers[1], weighted_norms(maps[1].attention, maps[1].value_gram)[query, image]
    )
    helpful = (maps[1].attention * maps[1].attention_gradient).clamp(min=0)
    assert_near(flow.gradient_rows[1, 3], helpful[3, query, image])


def test_a_failed_sweep_leaves_kernel_and_hooks_as_found(model, targets):
    layer, config = model.llama.model.layers[0], model.llama.config
    before = config._attn_implementation

    def interrupted():
        with attention_weights(model.llama, layer):
            assert config._attn_implementation == "eager"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    sweep = reverse_sweep(targets, 0)
    next(sweep)
    sweep.close()
    assert config._attn_implementation == before
    assert not layer.self_attn._forward_hooks
