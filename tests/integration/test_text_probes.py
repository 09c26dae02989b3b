"""The opened text tower agrees with the tower itself.

Edits do what they say, and padding changes nothing.
"""

import pytest
import torch
from towers import LAYERS, assert_near, huggingface_tower, open_clip_tower, stopped

from litelvlm.clip.probes.text import (
    Edit,
    edited_embeds,
    eos_attention,
    text_flow,
    trace_text,
    with_sos_share,
)

SENTENCES = ["please segment the small red circle in this image.", "the circle", "left man"]
EVERY = range(LAYERS)


@pytest.fixture(scope="module", params=[huggingface_tower, open_clip_tower])
def tower(request):
    return request.param()


@pytest.fixture(scope="module")
def trace(tower):
    with torch.inference_mode():
        return trace_text(tower, SENTENCES)


def keys(trace, *positions):
    chosen = torch.zeros_like(trace.beyond)
    chosen[:, list(positions)] = True
    return chosen


@torch.inference_mode()
def test_the_eos_row_is_the_tower_s_own(tower, trace):
    weights = text_flow(trace).weights
    _, expected = tower.text_attention(SENTENCES)
    for number, eos in enumerate(trace.text.eos_index.tolist()):
        assert_near(weights[:, number, :, eos], expected[:, number])
    assert_near(weights.sum(-1), torch.ones(weights.shape[:-1]))


@torch.inference_mode()
def test_padded_equals_unpadded(tower, trace):
    flow = text_flow(trace)
    for number, sentence in enumerate(SENTENCES):
        alone = trace_text(tower, [sentence])
        own, length = text_flow(alone), int(alone.text.eos_index[0]) + 1
        assert_near(
            flow.weights[:, number, :, :length, :length], own.weights[:, 0, :, :length, :length]
        )
        assert_near(
            flow.carried[:, number, :, :length, :length], own.carried[:, 0, :, :length, :length]
        )
        assert_near(trace.text.text_embeds[number], alone.text.text_embeds[0])
        edit, own_edit = Edit(masked=keys(trace, 0)), Edit(masked=keys(alone, 0))
        assert_near(
            edited_embeds(trace, edit, EVERY)[number], edited_embeds(alone, own_edit, EVERY)[0]
        )


@torch.inference_mode()
def test_no_edit_gives_the_plain_embedding(trace):
    assert_near(edited_embeds(trace, Edit(), EVERY), trace.text.text_embeds)
    assert_near(edited_embeds(trace, Edit(masked=keys(trace, 0)), []), trace.text.text_embeds)
    # [SOS] sees itself alone, so its value is the same in all sentences.
    assert_near(edited_embeds(trace, Edit(mean_sos=True), EVERY), trace.text.text_embeds)


@torch.inference_mode()
def test_masking_is_what_the_mask_of_the_block_does(tower):
    """The edit of [EOS] against the whole tower run with that key hidden.

    The key is hidden from the last position in every layer.
    """
    trace = trace_text(tower, SENTENCES[:1])
    last = int(trace.text.eos_index[0])
    mask = torch.full((last + 1, last + 1), float("-inf")).triu(1)
    mask[last, 0] = float("-inf")
    states = trace.inputs[0]
    for layer in (block.module for block in tower.text_blocks):
        if hasattr(layer, "self_attn"):
            states = layer(states, mask[None, None])
            states = states[0] if isinstance(states, tuple) else states
        else:
            states = layer(states, attn_mask=mask)
    if hasattr(tower.clip, "text_model"):
        expected = tower.clip.text_projection(
            tower.clip.text_model.final_layer_norm(states[:, last])
        )
    else:
        expected = tower.clip.ln_final(states[:, last]) @ tower.clip.text_projection
    edited = edited_embeds(trace, Edit(masked=keys(trace, 0)), EVERY)
    assert_near(edited, expected)
    assert (edited - trace.text.text_embeds).abs().max() > 1e-3


@torch.inference_mode()
def test_a_silenced_value_keeps_the_weights(trace):
    everything = torch.ones_like(trace.beyond)
    one_layer = edited_embeds(trace, Edit(silenced=everything), [0])
    assert (one_layer - trace.text.text_embeds).abs().max() > 1e-3
    # Masked, the rest takes the weight over; silenced, it does not.
    masked = edited_embeds(trace, Edit(masked=keys(trace, 0)), EVERY)
    silenced = edited_embeds(trace, Edit(silenced=keys(trace, 0)), EVERY)
    assert (masked - silenced).abs().max() > 1e-3


@torch.inference_mode()
def test_attention_drawn_to_sos_is_what_other_logits_would_give(trace):
    plain = eos_attention(trace)[0]
    raised = with_sos_share(plain, 0.68)
    assert_near(raised.sum(-1), torch.ones(raised.shape[:-1]))
    assert (raised[..., 0] >= 0.68 - 1e-6).all()
    # Those that had as much stay; of the others the words keep their ratios.
    assert torch.equal(with_sos_share(plain, 0.0), plain)
    below = plain[..., 0] < 0.68
    assert below.any()
    before, after = plain[below][:, 1:3], raised[below][:, 1:3]
    assert_near(before[:, 0] * after[:, 1], before[:, 1] * after[:, 0])
    assert_near(with_sos_share(plain, 1.0)[..., 1:].sum(-1), torch.zeros(plain.shape[:-1]))
    # All attention on [SOS] is the same as every other key masked.
    others = ~keys(trace, 0)
    assert_near(
        edited_embeds(trace, Edit(sos_share=1.0), EVERY),
        edited_embeds(trace, Edit(masked=others), EVERY),
    )
    with pytest.raises(ValueError, match=r"sos_share is 1\.5; a share of attention is 0 to 1"):
        Edit(sos_share=1.5)


def test_what_cannot_be_edited_is_refused(trace):
    with pytest.raises(ValueError, match=r"no layer 9; its layers are 0 to 3"):
        edited_embeds(trace, Edit(), [9])
    with pytest.raises(ValueError, match="every key of a sentence is masked"):
        edited_embeds(trace, Edit(masked=torch.ones_like(trace.beyond)), [0])


@torch.inference_mode()
def test_reading_the_text_tower_leaves_it_as_it_was(tower):
    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in tower.modules())

    weights, before = (
        {n: v.clone() for n, v in tower.state_dict().items()},
        tower.text(SENTENCES).text_embeds,
    )
    trace = trace_text(tower, SENTENCES)
    text_flow(trace)
    edited_embeds(trace, Edit(masked=keys(trace, 0)), EVERY)
    with pytest.raises(ValueError, match="at least one sentence"):
        trace_text(tower, [])
    with pytest.raises(RuntimeError, match="stop"), stopped(tower.text_blocks[1].module):
        trace_text(tower, SENTENCES)
    assert hooks() == 0
    assert torch.equal(tower.text(SENTENCES).text_embeds, before)
    assert all(torch.equal(value, weights[name]) for name, value in tower.state_dict().items())
