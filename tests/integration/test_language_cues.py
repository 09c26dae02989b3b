"""Cues of the shipped language model, and the oracles that prune at the input by them."""

import pytest
import torch

from litelvlm import get_pruner
from litelvlm.layout import Layout
from litelvlm.models.glamm.attribution.targets import (
    attention_rows,
    block_groups,
    target_gradient,
)
from litelvlm.pruning.methods.ivc_prune import IvcPrune
from tests.glamm_parts import conversation

TALK = conversation(["the red circle"])


@pytest.fixture(scope="module")
def cues(model, state):
    return model.cues(state, TALK)


def test_attention_is_the_mean_over_heads_of_the_row_that_asks(model, state, cues):
    for name, query in (("llm_attention", "seg"), ("llm_prompt_attention", "last_prompt")):
        rows = attention_rows(model, state, TALK, query)
        assert cues.get(name).shape == (144, 4)
        torch.testing.assert_close(cues.get(name).T, rows.mean(1))
    assert not torch.allclose(cues.llm_attention, cues.llm_prompt_attention)


def test_gradient_and_blocks_are_the_signals(model, state, cues):
    torch.testing.assert_close(cues.llm_gradient, target_gradient(model, state, TALK))
    groups = block_groups(Layout(1, 12, 12), 6)
    firsts = torch.stack([cues.block_importance[groups == g][0] for g in range(36)])
    assert torch.equal(cues.block_importance, firsts[groups])
    assert len(set(firsts.tolist())) > 1


def test_rotary_means_are_those_of_the_layers(model, state, cues):
    seen = []

    class Watched(IvcPrune):
        def reduce(self, scored, entering, count):
            seen.append(tuple(part[scored.image].mean(1) for part in scored.rotary()))
            return super().reduce(scored, entering, count)

    plan = Watched(layer=1).select(cues, 48)
    model.ground([state], [TALK], [plan])
    ((cos, sin),) = seen
    torch.testing.assert_close(cues.rotary_cosine, cos)
    torch.testing.assert_close(cues.rotary_sine, sin)


@pytest.mark.parametrize("name", ["llm_attention", "llm_gradient", "block_loo"])
def test_oracles_prune_at_the_input_and_leave_the_model_as_it_was(model, data, name):
    asking = [parameter.requires_grad for parameter in model.parameters()]
    grounding = model.segment(
        data[0].image(), ["the red circle", "the large square"], get_pruner(name), 16
    )
    assert [len(selection) for selection in grounding.selections] == [16, 16]
    # Each expression has a selection of its own.
    assert grounding.selections[0].indices.tolist() != grounding.selections[1].indices.tolist()
    assert [parameter.requires_grad for parameter in model.parameters()] == asking
    assert all(parameter.grad is None for parameter in model.parameters())
