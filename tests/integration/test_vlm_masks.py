"""Attention of towers that attend under a mask: images in one sequence, padding."""

import pytest
import torch
import transformers as hf
from torch.nn.attention.flex_attention import create_block_mask

from litelvlm import prune
from litelvlm.layout import Layout
from litelvlm.models.vlm_base.attention import READER, AttentionStates, Reader, read
from litelvlm.models.vlm_base.tower_attention import first_attention, received_attention
from tests.tiny_vlms.models import random_weights, tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import IMAGE, PIXTRAL, TEXT

WIDE, TALL = (16, 64), (32, 24)
"""Sizes of two images in pixels: 4 x 16 and 8 x 6 patches."""


def pixtral_llava():
    config = hf.LlavaConfig.from_dict(
        {
            "vision_config": {**PIXTRAL, "image_size": 64},
            "text_config": {**TEXT, "model_type": "mistral", "sliding_window": None},
            "image_token_id": IMAGE,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
        }
    )
    return random_weights(hf.LlavaForConditionalGeneration(config), seed=0)


def prompt_of(*images):
    """A prompt with some images [3, h, w]."""
    high, wide = (max(image.shape[axis] for image in images) for axis in (1, 2))
    pixels = torch.zeros(len(images), 3, high, wide)
    ids = [1]
    for place, image in enumerate(images):
        _, height, width = image.shape
        pixels[place, :, :height, :width] = image
        ids += [5, *[IMAGE] * (height // 4 * (width // 4))]
    sizes = torch.tensor([image.shape[1:] for image in images])
    return {
        "input_ids": torch.tensor([[*ids, 6, 7]]),
        "pixel_values": pixels,
        "image_sizes": sizes,
    }


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_images_that_share_a_sequence_are_read_as_if_alone(kernel):
    model = pixtral_llava()
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(3, *size, generator=generator) for size in (WIDE, TALL)]
    together = prompt_of(*images)
    tower = model.model.vision_tower
    tower.set_attn_implementation("eager")
    expected = []
    for image in images:
        out = tower(
            image[None], image_sizes=torch.tensor([image.shape[1:]]), output_attentions=True
        )
        expected.append(out.attentions[-1][0].mean(dim=(0, 1)))
    tower.set_attn_implementation(kernel)
    beside = prune(model, "uniform", 4).cues(**together)
    assert [cues.layout for cues in beside] == [Layout(1, 4, 16), Layout(1, 8, 6)]
    for number, image in enumerate(images):
        alone = prune(model, "uniform", 4).cues(**prompt_of(image))[0]
        for name in ("received_attention", "cls_attention"):
            for found in (alone.get(name), beside[number].get(name)):
                torch.testing.assert_close(found, expected[number], atol=1e-7, rtol=1e-5)
    for method in ("received_attention", "fastervlm", "vispruner"):
        with prune(model, method, 12) as pruned:
            model(**together)
        first = pruned.last.selections[0].indices.tolist()
        with prune(model, method, 12) as pruned:
            model(**prompt_of(images[0]))
        assert pruned.last.selections[0].indices.tolist() == first


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_padding_receives_no_attention_and_gives_none(name, kernel):
    """The lower half of the picture is padding: numbers are those of the upper half alone."""
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    seen = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    seen[0, 0, 16:] = False
    tower = model.model.vision_model
    tower.set_attn_implementation("eager")
    patches = torch.ones(1, 8, 8, dtype=torch.bool)
    patches[0, 4:] = False
    image = inputs["pixel_values"][0]
    padded = tower(image, patch_attention_mask=patches, output_attentions=True).attentions[-1]
    half = tower(image[:, :, :16], output_attentions=True).attentions[-1]
    # 2 x 2 patches make a token.
    rows = padded[0, :, :32].mean(dim=(0, 1)).reshape(4, 2, 4, 2).mean(dim=(1, 3)).flatten()
    alone = half[0].mean(dim=(0, 1)).reshape(2, 2, 4, 2).mean(dim=(1, 3)).flatten()
    tower.set_attn_implementation(kernel)
    cues = prune(model, "uniform", 4).cues(**inputs, pixel_attention_mask=seen)[0]
    for cue in ("received_attention", "cls_attention"):
        found = cues.get(cue)
        torch.testing.assert_close(found, rows, atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(found[:8], alone, atol=1e-7, rtol=1e-5)
        assert (found[8:] == 0).all()
    with prune(model, "received_attention", 8) as pruned:
        model(**inputs, pixel_attention_mask=seen)
    assert pruned.last.selections[0].indices.tolist() == list(range(8))


def states(mask=None):
    draw = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(1, 2, 5, 4, generator=draw) for _ in range(3))
    return AttentionStates(query, key, value, 0.5, mask)


def test_kinds_of_masks_say_the_same():
    """Two images of 2 and 3 patches in one sequence; then the last two patches as padding."""
    whole = states()
    parts = [slice(0, 2), slice(2, 5)]
    rows = [
        (whole.query[:, :, part] @ whole.key[:, :, part].mT * 0.5).softmax(-1) for part in parts
    ]
    expected = torch.cat([part.mean(dim=(1, 2)) for part in rows], dim=1)
    blocks = torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)).bool()[None, None]
    lowest = torch.finfo(torch.float32).min
    for mask in (blocks, torch.zeros(1, 1, 5, 5).masked_fill(~blocks, lowest)):
        torch.testing.assert_close(received_attention(states(mask)), expected)
        first = first_attention(states(mask))
        torch.testing.assert_close(first[:, :2], rows[0][:, :, 0].mean(dim=1))
        assert (first[:, 2:] == 0).all()
    module, reader = torch.nn.Module(), Reader("sdpa", attend=False)
    module.__dict__[READER] = reader
    bounds = torch.tensor([0, 2, 5])
    read(module, whole.query, whole.key, whole.value, None, 0.5, cu_seq_lens_q=bounds)
    found = torch.cat([received_attention(call) for call in reader.calls], dim=1)
    torch.testing.assert_close(found, expected)

    real = torch.tensor([[1, 1, 1, 0, 0]])
    alone = (whole.query[:, :, :3] @ whole.key[:, :, :3].mT * 0.5).softmax(-1).mean(dim=(1, 2))
    for mask in (real, real.bool()[:, None, None].expand(1, 1, 5, 5)):
        found = received_attention(states(mask))
        torch.testing.assert_close(found[:, :3], alone)
        assert (found[:, 3:] == 0).all()
    assert (received_attention(states(torch.zeros(1, 1, 5, 5).bool())) == 0).all()


def test_a_bias_of_pairs_is_added():
    bias = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(3))
    whole = states()
    rows = (whole.query @ whole.key.mT * 0.5 + bias).softmax(-1)
    torch.testing.assert_close(received_attention(states(bias)), rows.mean(dim=(1, 2)))
    torch.testing.assert_close(first_attention(states(bias)), rows[:, :, 0].mean(dim=1))


def test_masks_of_other_kinds_are_refused():
    block = create_block_mask(lambda b, h, q, k: q >= k, None, None, 128, 128, device="cpu")
    for mask in (block, torch.ones(1, 1, 5, 5).long(), torch.ones(1, 1, 4, 5).bool()):
        for attention in (received_attention, first_attention):
            with pytest.raises(ValueError, match=r"unknown kind.*attn_implementation='sdpa'"):
                attention(states(mask))


def test_attention_within_windows_is_refused():
    """A mean over the queries of a window is higher in the small ones at an image's edge."""
    model, inputs = tiny_vlm("qwen2_5_vl"), tiny_prompt("qwen2_5_vl")
    model.model.visual.fullatt_block_indexes = [0]
    for method in ("received_attention", "fastervlm"):
        with pytest.raises(ValueError, match="attends within windows"):
            prune(model, method, 4).forward(**inputs)
    pruned = prune(model, "tower_value_norm", 4)
    pruned.forward(**inputs)
    assert pruned.token_counts == [4]
