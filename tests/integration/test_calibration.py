"""Attention that counts a visual token for several patches, on the shipped miniature."""

import pytest
import torch

from litelvlm import get_pruner
from litelvlm.models.glamm.language.decoding import calibrated_masks, distance_bias
from litelvlm.pruning import Selection
from tests.glamm_parts import causal_mask, conversation, decode

TALK = conversation(["the red circle"])


def assert_near(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def chosen(model, state):
    """Calibrated, merged and plain selections of 16 tokens, at original positions."""
    cues = model.cues(state, TALK)
    calibrated = get_pruner("restore", share=1.0).select(cues, 16)
    merged = get_pruner("restore").select(cues, 16)
    return calibrated, merged, get_pruner("fastervlm", preset="gap").select(cues, 16)


def test_calibration_changes_the_answer_of_its_row_only(model, state, chosen):
    assert chosen[0].indices.tolist() == chosen[2].indices.tolist()
    together = model.ground([state] * 3, [TALK] * 3, list(chosen))
    alone = [model.ground([state], [TALK], [selection])[0] for selection in chosen]
    for a, b in zip(together, alone, strict=True):
        assert_near(a.seg_state, b.seg_state)
    assert not torch.allclose(alone[0].seg_state, alone[2].seg_state, atol=1e-3)
    assert not torch.allclose(alone[0].seg_state, alone[1].seg_state, atol=1e-3)


@torch.inference_mode()
def test_masks_by_layer(model, chosen):
    _, merged, plain = chosen
    assert (
        calibrated_masks(model.llama, [plain, None], [1, 1], torch.zeros(2, 20, dtype=torch.long))
        is None
    )
    positions = torch.stack(
        [torch.cat([torch.tensor([0]), 1 + s.positions[0], torch.arange(145, 149)]) for s in chosen]
    )
    masks = calibrated_masks(model.llama, list(chosen), [1, 1, 1], positions)
    causal = causal_mask(21, torch.float32, model.device)[0, 0]
    assert torch.equal(masks(0)[2, 0], causal)
    assert torch.equal(masks(0)[0], masks(3)[0])
    cos, sin = model.llama.model.rotary_emb(torch.empty(0), position_ids=positions)
    distance = distance_bias(cos[1], sin[1])
    seen = causal == 0
    for layer, sizes in ((0, torch.full((16,), 144 / 16)), (1, merged.sizes), (2, merged.sizes)):
        size = torch.ones(21)
        size[1:17] = sizes
        assert_near(masks(layer)[1, 0][seen], (distance + size.log())[seen])
        assert (masks(layer)[1, 0][~seen] < -1e30).all()


@torch.inference_mode()
def test_one_size_and_no_distance_are_plain_attention(model):
    # All tokens at one position, each counting one patch: the bias is 0 everywhere.
    embeds = torch.randn(
        1, 9, model.llama.config.hidden_size, generator=torch.Generator().manual_seed(0)
    )
    positions = torch.zeros(1, 9, dtype=torch.long)
    ones = Selection(torch.arange(9), 9, torch.arange(9)[None], 9, sizes=torch.ones(9))
    masks = calibrated_masks(model.llama, [ones], [0], positions)
    assert_near(
        decode(model.llama, embeds, positions, attention_mask=masks),
        decode(model.llama, embeds, positions),
    )


def test_what_cannot_be_calibrated_is_refused(model, state, chosen, monkeypatch):
    plan = get_pruner("fastv").select(model.cues(state, TALK), 48)
    with pytest.raises(ValueError, match="cannot share a batch"):
        model.ground([state] * 2, [TALK] * 2, [chosen[0], plan])
    with pytest.raises(ValueError, match="forced answers only"):
        model.ground([state], [TALK], [chosen[0]], answer="generated")
    # Pretended: a kernel of this kind runs on some GPUs only.
    monkeypatch.setattr(model.llama.config, "_attn_implementation", "flash_attention_2")
    with pytest.raises(ValueError, match="'flash_attention_2' does not accept the additive bias"):
        calibrated_masks(model.llama, [chosen[0]], [1], torch.zeros(1, 20, dtype=torch.long))
