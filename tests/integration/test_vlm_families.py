"""Every family of the front door: a pruned tiny model against its reference."""

import inspect
from dataclasses import replace

import pytest
import torch
import transformers

from benchmarks.vlm_proof import masked_difference, prove
from litelvlm import get_pruner, prune
from litelvlm.models.vlm.families import VLM_FAMILIES, measured_differences
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import TINY

NOT_EXACT = {
    "qwen3_5": "its linear attention reads every token, whatever the mask says",
    "lfm2_vl": "its convolutions read the neighbours in the sequence",
}
"""Families where dropping a token is not the same as masking it, and why."""
VIDEOS = [name for name, family in TINY.items() if family.videos is not None]


def test_every_family_has_a_tiny_model():
    assert set(TINY) == set(VLM_FAMILIES)
    assert len(set(TINY) - set(NOT_EXACT)) >= 20
    assert {name for name, family in VLM_FAMILIES.items() if family.videos} == set(VIDEOS)


@pytest.mark.parametrize("name", [name for name in TINY if name not in NOT_EXACT])
def test_images(name):
    assert_exact(prove(name))


@pytest.mark.parametrize("name", [name for name in VIDEOS if name not in NOT_EXACT])
def test_videos(name):
    assert_exact(prove(name, video=True))


def assert_exact(proof):
    assert proof.handed_back == 0.0
    assert proof.masked <= 1e-6
    assert proof.masked_double <= 1e-14
    assert proof.generated <= 1e-6
    assert proof.batched <= 1e-6
    # Pruning changes the output by far more than these differences.
    assert proof.effect > 1e-2


@pytest.mark.parametrize(
    ("name", "video"), [*((name, False) for name in NOT_EXACT), ("qwen3_5", True)]
)
def test_families_that_read_dropped_tokens(name, video):
    """Handing features back is exact; a mask hides a token from attention only."""
    proof = prove(name, video)
    assert proof.handed_back == 0.0
    assert proof.batched <= 1e-6
    assert proof.masked > 1e-2


def test_every_family_whose_model_takes_videos_is_listed_with_them():
    for name, family in VLM_FAMILIES.items():
        model = getattr(transformers, f"{TINY[name].stem}ForConditionalGeneration")
        takes = "pixel_values_videos" in inspect.signature(model.forward).parameters
        assert takes == family.videos, name


@torch.no_grad()
@pytest.mark.parametrize("name", TINY)
def test_the_model_inside_the_block_answers_as_the_wrapper_does(name):
    """Whether the model without a head is a part of it or not."""
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    pruned = prune(model, "uniform", 0.5)
    alone = pruned.forward(**inputs).logits
    with pruned:
        assert torch.equal(model(**inputs).logits, alone)
    assert pruned.token_counts != []
    assert pruned.layer_counts == [[count] * 3 for count in pruned.token_counts]


@pytest.mark.parametrize("name", ["glm4v", "glm46v"])
def test_images_and_videos_that_share_placeholders_are_refused_in_one_call(name):
    model, image, video = tiny_vlm(name), tiny_prompt(name), tiny_prompt(name, video=True)
    both = {key: value for pair in (image, video) for key, value in pair.items()}
    for key in ("input_ids", "attention_mask", "mm_token_type_ids"):
        both[key] = torch.cat([image[key], video[key]], dim=1)
    with pytest.raises(ValueError, match="do not match, tokens: 30"):
        model(**both)
    with pytest.raises(ValueError, match=f"{name} reads images or videos in one call, not both"):
        prune(model, "uniform", 0.5).forward(**both)


def test_a_window_shorter_than_the_prompt_sees_further_back():
    """Windows count the tokens that are left, so the mask is no reference there."""
    model, inputs, pruner = tiny_vlm("gemma3"), tiny_prompt("gemma3"), get_pruner("random")
    with torch.no_grad():
        assert masked_difference(model, replace(pruner, positions="original"), inputs) <= 1e-6
        model.config.get_text_config().sliding_window = 10
        assert masked_difference(model, replace(pruner, positions="original"), inputs) > 1e-2


def test_every_family_is_measured():
    assert set(measured_differences()) == set(VLM_FAMILIES)
