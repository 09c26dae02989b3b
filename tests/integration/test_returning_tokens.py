"""Tokens that are left out of early layers and come back, inside the shipped model."""

import pytest
import torch
from layer_drops import decode_dropping

from litelvlm import get_pruner
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.prompting.places import query_places
from tests.glamm_parts import conversation


@torch.inference_mode()
@pytest.mark.parametrize("positions", ["original", "contiguous"])
def test_those_left_out_come_back_as_they_entered(model, state, positions):
    talk = conversation(["the red circle"])
    wanted = get_pruner("lvlm_csp_like", positions=positions).select(model.cues(state, talk), 48)
    seen = {}
    spliced, dropping, _ = decode_dropping(
        model, state, talk, wanted, lambda index, _, *states: seen.update({index: states})
    )
    start, entered = spliced.image_start[0], spliced.embeds[0]
    representatives = torch.arange(24) * 6
    rest = torch.ones(144, dtype=torch.bool)
    rest[representatives] = False
    # Layer 0 has every sixth token.
    assert torch.equal(seen[0][1][start : start + 24], entered[start + representatives])
    # Layer 1 has all: every sixth as layer 0 left it, the others as they entered; text behind as
    # layer 0 left it.
    before, after, moved = seen[1]
    assert torch.equal(after[start + representatives], before[start : start + 24])
    assert torch.equal(after[start : start + 144][rest], entered[start : start + 144][rest])
    assert torch.equal(after[start + 144 :], before[start + 24 :])
    assert torch.equal(moved, torch.arange(len(entered)))
    # Layer 2 has the twelve that the state before [SEG] attends to most.
    queries = torch.tensor(query_places(model.tokenizer, talk, "seg")) + start + 144
    view = LlamaView(model.llama, 2, seen[2][0], moved, slice(start, start + 144), queries)
    trace = dropping.outcomes()[0]
    assert trace.indices.tolist() == view.most_attended(12).tolist()
    assert trace.counts == (24, 144, 12, 12)
    assert trace.average == 48
    assert trace.layers[0].tolist() == representatives.tolist()
    first = start + (representatives if positions == "original" else torch.arange(24))
    assert torch.equal(seen[0][2][start : start + 24], first)
