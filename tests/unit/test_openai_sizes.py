"""Which image towers have the sizes of OpenAI's CLIP ViT-L/14 at 336 pixels."""

import pytest
from transformers import CLIPVisionConfig, SiglipVisionConfig

from litelvlm.clip.openai import has_openai_sizes

HEADS = 16
"""A factor of every width here, as transformers demands."""
SIZES = {"hidden_size": 1024, "num_hidden_layers": 24, "image_size": 336, "patch_size": 14}


def test_a_clip_of_these_sizes_is_one():
    assert has_openai_sizes(CLIPVisionConfig(num_attention_heads=HEADS, **SIZES))


@pytest.mark.parametrize("name", SIZES)
def test_a_clip_of_another_size_is_none(name):
    other = SIZES | {name: SIZES[name] * 2}
    assert not has_openai_sizes(CLIPVisionConfig(num_attention_heads=HEADS, **other))


@pytest.mark.parametrize("vision", [SiglipVisionConfig(num_attention_heads=HEADS, **SIZES), None])
def test_another_kind_of_tower_is_none(vision):
    assert not has_openai_sizes(vision)
