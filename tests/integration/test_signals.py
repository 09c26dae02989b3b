"""Signals of the language model against three independent computations.

These are the eager kernel's full map, finite differences and plain removal.
"""

from copy import deepcopy
from types import MethodType

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from litelvlm.layout import Layout
from litelvlm.models.glamm.attribution.targets import (
    TARGETS,
    Targets,
    attention_rows,
    block_groups,
    block_importance,
    frozen,
    leave_one_out,
    target_gradient,
)
from litelvlm.pruning import Selection
from tests.glamm_parts import conversation, decode, full_prompt

TALK = conversation(["the red circle"])


@pytest.fixture(scope="module")
def targets(model, state):
    return Targets(model, state, TALK)


@pytest.fixture(scope="module")
def exact(model, data):
    """The miniature in float64 throughout: its norm would compute in float32."""

    def norm(self, states):
        return (
            self.weight
            * states
            * (states.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()
        )

    double = deepcopy(model).double()
    for module in double.modules():
        if isinstance(module, LlamaRMSNorm):
            module.forward = MethodType(norm, module)
    return double, double.encode_image(data[0].image())


def full_maps(model, state, talk):
    """Attention of every layer, all rows, from the eager kernel."""
    spliced = model.splice([model.visual_tokens(state, None)], [talk], [None])
    config, found = model.llama.config, []
    hooks = [
        layer.self_attn.register_forward_hook(lambda module, args, out: found.append(out[1][0]))
        for layer in model.llama.model.layers
    ]
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        decode(model.llama, spliced.embeds, spliced.position_ids)
    finally:
        config._attn_implementation = before
        for hook in hooks:
            hook.remove()
    return torch.stack(found), spliced


@torch.inference_mode()
def test_attention_rows_are_rows_of_the_full_map(model, state):
    maps, spliced = full_maps(model, state, TALK)
    start, (seg,) = spliced.image_start[0], spliced.seg_index[0]
    rows = attention_rows(model, state, TALK)
    assert rows.shape == (4, 4, 144)
    torch.testing.assert_close(rows, maps[:, :, seg, start : start + 144], atol=1e-5, rtol=1e-5)
    ids = model.tokenizer.encode(full_prompt(TALK))
    colon = len(model.tokenizer.encode(full_prompt(TALK).partition(" It is")[0])) - 1
    assert ids[colon] == model.tokenizer.encode("ASSISTANT:")[-1]
    asked = attention_rows(model, state, TALK, "last_prompt")
    torch.testing.assert_close(
        asked, maps[:, :, colon + 143, start : start + 144], atol=1e-5, rtol=1e-5
    )
    # Of two turns: their mean.
    talk = conversation(["the red circle", "the blue square"])
    maps, spliced = full_maps(model, state, talk)
    expected = maps[:, :, list(spliced.seg_index[0]), start : start + 144].mean(2)
    torch.testing.assert_close(attention_rows(model, state, talk), expected, atol=1e-5, rtol=1e-5)


def test_targets_follow_from_the_prediction(model, state, targets):
    grounding = model.ground([state], [TALK], [None])[0]
    logits = targets._mask_logits(grounding.seg_state[None].clone())[0, 0]
    inside = logits > 0
    assert torch.equal(inside, targets.reference[0])
    assert not targets.empty
    # The same mask at the decoder's resolution and at the image's.
    assert inside.float().mean().item() == pytest.approx(
        grounding.mask[0].float().mean().item(), rel=0.1
    )
    found = dict(zip(TARGETS, targets(targets.visual[None])[0].tolist(), strict=True))
    p = logits.sigmoid()
    assert found["mask_logit"] == pytest.approx(logits[inside].mean().item(), rel=1e-5)
    assert found["soft_dice"] == pytest.approx(
        (2 * p[inside].sum() / (p.sum() + inside.sum())).item(), rel=1e-5
    )
    words = model.llama.lm_head(grounding.seg_state.clone()).log_softmax(-1)
    assert found["seg_log_prob"] == pytest.approx(words[0, model.tokenizer.seg_id].item(), rel=1e-5)


@pytest.mark.parametrize("column", range(3))
def test_gradient_equals_finite_differences(exact, column):
    model, state = exact
    gradient = target_gradient(model, state, TALK, TARGETS[column])
    assert gradient.dtype == torch.float32
    targets = Targets(model, state, TALK)
    generator = torch.Generator().manual_seed(column)
    step = 1e-5
    for _ in range(3):
        direction = torch.randn(targets.visual.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            ends = targets(
                torch.stack([targets.visual + step * direction, targets.visual - step * direction])
            )
        slope = ((ends[0] - ends[1]) / (2 * step))[column].item()
        assert (gradient.double() * direction).sum().item() == pytest.approx(
            slope, rel=1e-4, abs=1e-8
        )


def test_gradients_leave_the_model_as_found(model, state):
    name = "llama.model.layers.1.mlp.up_proj.weight"
    weight = model.get_parameter(name)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}

    def interrupted():
        with frozen(model):
            assert not weight.requires_grad
            raise RuntimeError("stop")

    weight.requires_grad_(True)
    try:
        target_gradient(model, state, TALK)
        with torch.inference_mode():  # the caller's mode does not matter
            target_gradient(model, state, TALK, "soft_dice")
        with pytest.raises(RuntimeError, match="stop"):
            interrupted()
        assert weight.grad is None
        assert [name for name, p in model.named_parameters() if p.requires_grad] == [name]
    finally:
        weight.requires_grad_(False)
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())


def test_keeping_tokens_is_what_pruning_does(model, state, targets):
    kept = torch.zeros(2, 144, dtype=torch.bool)
    kept[0, ::3], kept[1, 40:60] = True, True
    found = targets.keeping(kept)
    for row, expected in zip(kept, found, strict=True):
        indices = torch.nonzero(row)[:, 0]
        selection = Selection(indices, 144, torch.arange(len(indices))[None], len(indices))
        grounding = model.ground([state], [TALK], [selection])[0]
        torch.testing.assert_close(
            targets.of_states(grounding.seg_state[None].clone())[0], expected
        )


def test_batches_change_nothing(targets):
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(6, 144, generator=generator) < 0.5
    for function in (
        targets.keeping,
        targets.hiding,
        lambda k, b: targets.replacing(k, targets.visual[0], b),
    ):
        torch.testing.assert_close(function(kept, 1), function(kept, 6), atol=1e-4, rtol=1e-4)


def test_hiding_and_replacing_nothing_is_the_whole(targets):
    nothing = torch.zeros(1, 144, dtype=torch.bool)
    whole = targets.keeping(~nothing)
    for found in (targets.hiding(nothing), targets.replacing(nothing, targets.visual[0])):
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
    # Hidden tokens are not seen at all, whatever they hold.
    hidden = torch.zeros(1, 144, dtype=torch.bool)
    hidden[0, 100:] = True
    before = targets.hiding(hidden)
    embeds = targets.embeds.clone()
    targets.embeds[targets.start + 100 : targets.start + 144] += 1
    try:
        torch.testing.assert_close(targets.hiding(hidden), before, atol=1e-5, rtol=1e-5)
    finally:
        targets.embeds.copy_(embeds)


@pytest.mark.parametrize("removal", ["drop", "mean", "mask"])
def test_a_blocks_tokens_carry_what_its_removal_costs(model, state, targets, removal):
    groups = block_groups(Layout(1, 12, 12), 6)
    falls = leave_one_out(targets, groups, removal, batch_size=5)
    if removal == "drop":
        values = block_importance(model, state, TALK)
        torch.testing.assert_close(values, falls[groups, 1], atol=1e-5, rtol=1e-4)
    block = (groups == 14)[None]
    without = {
        "drop": lambda: targets.keeping(~block),
        "mean": lambda: targets.replacing(block, targets.visual.mean(0)),
        "mask": lambda: targets.hiding(block),
    }[removal]()
    torch.testing.assert_close(
        falls[14], (targets.keeping(block | ~block) - without)[0], atol=1e-5, rtol=1e-4
    )


def test_unknown_names_are_refused(model, state, targets):
    with pytest.raises(ValueError, match="unknown target 'iou'"):
        target_gradient(model, state, TALK, "iou")
    with pytest.raises(ValueError, match="unknown removal 'blur'"):
        leave_one_out(targets, torch.zeros(144, dtype=torch.long), "blur")
    with pytest.raises(ValueError, match="unknown query 'cls'"):
        attention_rows(model, state, TALK, "cls")
    with pytest.raises(ValueError, match="between 1 and 12"):
        block_groups(Layout(1, 12, 14), 13)
