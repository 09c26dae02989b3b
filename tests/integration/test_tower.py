"""The tower's states are those of the library's own forward pass, attention rows included."""

from copy import deepcopy

import pytest
import torch

from litelvlm.clip.attention import attention_row, capture_inputs
from litelvlm.clip.hf import ClipTower
from litelvlm.clip.preprocessing import Preprocessing

SENTENCES = ["Please segment the red circle in this image.", "the large square"]


@pytest.fixture(scope="module")
def pixels(model, data):
    return torch.cat([Preprocessing()(data[i].image(), model.tower.image_size) for i in range(2)])


@pytest.fixture(scope="module")
def eager(model):
    """The same weights under eager attention, which is the kernel that returns its weights."""
    config = deepcopy(model.tower.clip.config)  # the model keeps its own kernel
    clip = type(model.tower.clip)._from_config(config, attn_implementation="eager")
    clip.load_state_dict(model.tower.clip.state_dict())
    return clip.eval()


@torch.inference_mode()
def test_image_states_are_the_librarys(model, eager, pixels):
    image = model.tower.image(pixels)
    reference = eager.vision_model(pixels, output_hidden_states=True, output_attentions=True)
    for ours, theirs in (
        (image.patch_tokens, reference.hidden_states[-2][:, 1:]),
        (image.cls_token, reference.hidden_states[-2][:, 0]),
        (image.last_hidden_state, reference.hidden_states[-1]),
        (image.image_embeds, eager.visual_projection(reference.pooler_output)),
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    row = reference.attentions[-2][:, :, 0, 1:].mean(1)
    torch.testing.assert_close(image.cls_attention, row, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_last_block_projections_and_joint_space(model, pixels):
    image = model.tower.image(pixels)
    last = model.tower.clip.vision_model.encoder.layers[-1]
    normed = last.layer_norm1(image.states[-1])
    torch.testing.assert_close(image.query, last.self_attn.q_proj(normed)[:, 0])
    torch.testing.assert_close(image.keys, last.self_attn.k_proj(normed)[:, 1:])
    torch.testing.assert_close(image.values, last.self_attn.v_proj(normed)[:, 1:])
    vision = model.tower.clip.vision_model
    expected = model.tower.clip.visual_projection(vision.post_layernorm(image.patch_tokens))
    torch.testing.assert_close(image.patch_embeds, expected)


@torch.inference_mode()
def test_text_states_and_attention_are_the_librarys(model, eager):
    text, rows = model.tower.text_attention(SENTENCES)
    reference = eager.text_model(
        input_ids=text.input_ids, attention_mask=text.attention_mask, output_attentions=True
    )
    torch.testing.assert_close(
        text.text_embeds, eager.text_projection(reference.pooler_output), atol=1e-4, rtol=1e-4
    )
    for layer, attention in enumerate(reference.attentions):
        at_eos = attention[torch.arange(2), :, text.eos_index]
        torch.testing.assert_close(rows[layer], at_eos, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]))
    assert rows[:, 1, :, int(text.eos_index[1]) + 1 :].abs().max() == 0


@torch.inference_mode()
def test_padding_changes_no_text_state(model):
    together = model.tower.text(SENTENCES).text_embeds
    alone = torch.cat([model.tower.text([s]).text_embeds for s in SENTENCES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_long_text_is_truncated_and_said_so(model):
    text = model.tower.text(["red circle " * 300, "a cross"])
    assert text.truncated == (True, False)
    assert text.input_ids.shape[1] == model.tower.text_config.max_position_embeddings
    with pytest.raises(ValueError, match="at least one sentence"):
        model.tower.text([])


def test_hooks_are_gone_even_after_an_error(model: ClipTower):
    layers = list(model.tower.clip.text_model.encoder.layers)
    with pytest.raises(RuntimeError, match="on purpose"), capture_inputs(layers):
        raise RuntimeError("on purpose")
    assert all(not layer._forward_pre_hooks for layer in layers)


def test_attention_row_by_hand():
    # Two heads of width 1: logits are q*k. Head 0: q=1, k=(0, ln 3) -> (1, 3)/4. Head 1: q=2, k=(0,
    # 0) -> (1, 1)/2.
    query = torch.tensor([[1.0, 2.0]])
    keys = torch.tensor([[[0.0, 0.0], [torch.tensor(3.0).log(), 0.0]]])
    rows = attention_row(query, keys, n_heads=2)
    torch.testing.assert_close(rows, torch.tensor([[[0.25, 0.75], [0.5, 0.5]]]))
    hidden = attention_row(query, keys, n_heads=2, hidden=torch.tensor([[False, True]]))
    torch.testing.assert_close(hidden, torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
