"""CLS of an image tower: dropped, one of the visual tokens, or not there."""

import pytest
import torch
import transformers as hf

from litelvlm import get_pruner, prune
from tests.tiny_vlms.models import random_weights, tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import CLIP, IMAGE, SIGLIP, TEXT


def full(inputs, tokens, images=1):
    """The prompt with as many placeholders, and every row of the tower as a token."""
    ids = [1, *[token for _ in range(images) for token in (5, *[IMAGE] * tokens)], 6, 7]
    pixels = inputs["pixel_values"]
    return {"input_ids": torch.tensor([ids]), "pixel_values": pixels}


def llava(vision, strategy):
    config = hf.LlavaConfig.from_dict(
        {
            "vision_config": vision,
            "text_config": {**TEXT, "model_type": "llama"},
            "image_token_id": IMAGE,
            "vision_feature_select_strategy": strategy,
        }
    )
    return random_weights(hf.LlavaForConditionalGeneration(config), seed=0)


def attention(model, pixels):
    """Attention of the block that the tokens come from, mean over heads [images, s, s]."""
    tower = model.model.vision_tower
    kernel = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    found = tower(pixels, output_attentions=True).attentions[model.config.vision_feature_layer]
    tower.set_attn_implementation(kernel)
    return found.mean(dim=1)


@torch.no_grad()
@pytest.mark.parametrize("where", ["call", "config"])
def test_cls_among_the_tokens_ranks_them_and_itself(where):
    model = tiny_vlm("llava")
    inputs = full(tiny_prompt("llava", (2,)), 37, images=2)
    expected = attention(model, inputs["pixel_values"])
    if where == "config":
        model.config.vision_feature_select_strategy = "full"
    else:
        inputs["vision_feature_select_strategy"] = "full"
    for image, cues in enumerate(prune(model, "uniform", 4).cues(**inputs)):
        assert cues.n_tokens == 37
        torch.testing.assert_close(cues.get("cls_attention"), expected[image, 0])
        torch.testing.assert_close(cues.get("received_attention"), expected[image].mean(dim=0))
    with prune(model, "fastervlm", 6) as pruned:
        model(**inputs)
    for image, chosen in enumerate(pruned.last.selections):
        wanted = expected[image, 0].topk(6).indices.sort().values
        assert chosen.indices.tolist() == wanted.tolist()


@torch.no_grad()
def test_methods_that_read_cls_beside_the_tokens_refuse_it_among_them():
    model = tiny_vlm("llava")
    model.config.vision_feature_select_strategy = "full"
    inputs = full(tiny_prompt("llava"), 37)
    with pytest.raises(ValueError, match="prumerge_plus on image 0: CLS is one of the visual"):
        prune(model, "prumerge_plus", 6).forward(**inputs)
    for method in ("vispruner", "scope", get_pruner("prumerge_plus", attention="tower")):
        pruned = prune(model, method, 6)
        pruned.forward(**inputs)
        assert pruned.token_counts == [6]
    # Its frames hold a CLS row, and how its towers make tokens is not known.
    for video in (False, True):
        with pytest.raises(ValueError, match="reads the cue 'cls_attention'"):
            prune(tiny_vlm("video_llava"), "fastervlm", 16).forward(
                **tiny_prompt("video_llava", video=video)
            )


@torch.no_grad()
def test_a_first_patch_that_is_dropped_is_not_taken_for_cls():
    model = llava(SIGLIP, "default")
    inputs = full(tiny_prompt("llava"), 35)
    expected = attention(model, inputs["pixel_values"])[0].mean(dim=0)[1:]
    cues = prune(model, "uniform", 4).cues(**inputs)[0]
    torch.testing.assert_close(cues.get("received_attention"), expected)
    with pytest.raises(ValueError, match="is not known to be CLS"):
        cues.get("cls_attention")
    with pytest.raises(ValueError, match="the image tower has no CLS token"):
        cues.get("cls_key")


@torch.no_grad()
def test_cls_of_a_pooling_head_is_no_patch():
    model = llava({**CLIP, "model_type": "aimv2_vision_model", "use_head": True}, "full")
    inputs = full(tiny_prompt("llava"), 36)
    expected = attention(model, inputs["pixel_values"])[0].mean(dim=0)
    cues = prune(model, "uniform", 4).cues(**inputs)[0]
    torch.testing.assert_close(cues.get("cls_attention"), expected)
