"""LLaVA with both towers of its CLIP: LiteLVLM and its kin choose what they choose in GLaMM."""

import pytest
import torch

from litelvlm import get_pruner, prune
from tests.tiny_vlms.folder import llava_prompt, tiny_llava
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

METHODS = ("litelvlm", "low_similarity", "trim", "cdpruner", "vispruner", "prumerge_plus", "nuwa")


@pytest.fixture(scope="module")
def llava(model):
    return tiny_llava(model.tower)


@pytest.fixture(scope="module")
def inputs(model, sample):
    return llava_prompt(model.tower, model.tower.pixel_values(sample.image()))


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_is_glamms(model, llava, sample, inputs, method):
    sentence = sample.expressions[0].sent
    conversation = model.conversation([sentence])
    pruner = get_pruner(method, **({"stage1_only": True} if method == "nuwa" else {}))
    state = model.encode_image(sample.image())
    cues = model.cues(state, conversation)
    if method == "cdpruner":
        # Its diversity is that of the projected tokens, which are LLaVA's own.
        with torch.no_grad():
            projected = llava.get_image_features(inputs["pixel_values"]).pooler_output[0]
        cues = cues.replaced(projected=projected)
    expected = pruner.select(cues, 48)
    pruned = prune(llava, pruner, 48, clip=model.tower, text=conversation.questions)
    pruned.forward(**inputs)
    assert pruned.token_counts == [48]
    assert pruned.last.selections[0].indices.tolist() == expected.indices.tolist()


def test_nuwas_second_stage_drops_inside_the_language_model(model, llava, inputs):
    pruned = prune(llava, get_pruner("nuwa", layer=1), 48, clip=model.tower, text="the circle")
    pruned.forward(**inputs)
    counts = pruned.layers.images[0].counts
    assert counts == list(get_pruner("nuwa", layer=1).schedule(48, 144, 3))
    assert counts[0] > counts[-1]


def test_what_does_not_belong_together_is_refused(model, llava, inputs):
    with pytest.raises(ValueError, match="belong together"):
        prune(llava, "litelvlm", 48, text="the red circle")
    with pytest.raises(ValueError, match="belong together"):
        prune(llava, "litelvlm", 48, clip=model.tower)
    other = prune(tiny_vlm("llava"), "litelvlm", 9, clip=model.tower, text="the red circle")
    with pytest.raises(ValueError, match="CLIP checkpoint that the model's image tower"):
        other.forward(**tiny_prompt("llava"))
