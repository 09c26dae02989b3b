"""LLaVA with both towers of its CLIP: LiteLVLM and its kin choose what they choose in GLaMM."""

from dataclasses import replace

import pytest
import torch

from litelvlm import get_pruner, prune
from litelvlm.clip.load import load_tower
from litelvlm.models.vlm.miniature import CLIP
from litelvlm.models.vlm.queries import towers
from tests.tiny_vlms.folder import llava_prompt, tiny_llava
from tests.tiny_vlms.models import tiny_vlm

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


def test_what_does_not_belong_together_is_refused(model, llava):
    with pytest.raises(ValueError, match="belong together"):
        prune(llava, "litelvlm", 48, text="the red circle")
    with pytest.raises(ValueError, match="belong together"):
        prune(llava, "litelvlm", 48, clip=model.tower)


def activation(llava):
    llava.base_model.vision_tower.config.hidden_act = "gelu"


def epsilon(llava):
    llava.base_model.vision_tower.config.layer_norm_eps = 1e-6


def layer(llava):
    llava.config.vision_feature_layer = -1


def with_cls(llava):
    llava.config.vision_feature_select_strategy = "full"


def weights(llava):
    with torch.no_grad():
        next(p for p in llava.base_model.vision_tower.parameters() if p.ndim == 2)[0, 0] += 0.1


def through_data(llava):
    next(p for p in llava.base_model.vision_tower.parameters() if p.ndim == 2).data[0, 0] += 0.1


def offloaded(llava):
    llava.base_model.vision_tower.to("meta")


UNEQUAL = {
    activation: r"hidden_act is 'gelu' here and 'quick_gelu' there.*'input_similarity'",
    epsilon: "layer_norm_eps is 1e-06 here and 1e-05 there",
    layer: "reads layer -1 .'default'. of its image tower",
    with_cls: "reads layer -2 .'full'. of its image tower",
    weights: "1 of 87 tensors differ, the first is",
    through_data: "1 of 87 tensors differ, the first is",
    offloaded: "offloaded.* device_map",
}


@pytest.mark.parametrize("change", UNEQUAL)
def test_equal_tensors_are_not_equal_towers(model, change):
    llava = tiny_llava(model.tower)
    prune(llava, "litelvlm", 48, clip=model.tower, text="the red circle")
    # A tower that was found equal before is looked at again where it changed.
    if change not in (weights, through_data):
        llava = tiny_llava(model.tower)
    change(llava)
    with pytest.raises(ValueError, match=UNEQUAL[change]):
        prune(llava, "litelvlm", 48, clip=model.tower, text="the red circle")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("llava", "image_size is 24 here and 168 there"),
        ("qwen2_5_vl", "image tower of Qwen2_5_VLForConditionalGeneration is not CLIP's"),
        ("internvl", "image tower of InternVLForConditionalGeneration is not CLIP's"),
        ("paligemma", "image tower of PaliGemmaForConditionalGeneration is not CLIP's"),
        ("vipllava", r"reads layer \[-1, -2\]"),
    ],
)
def test_clip_beside_another_tower_is_refused(model, name, why):
    with pytest.raises(ValueError, match=why):
        prune(tiny_vlm(name), "litelvlm", 9, clip=model.tower, text="the red circle")


def test_a_tower_of_another_library_is_refused(model, llava, monkeypatch):
    tower = load_tower(CLIP, device="cpu")
    monkeypatch.setattr(towers, "ClipTower", type("Another", (), {}))
    with pytest.raises(ValueError, match="not a CLIP of transformers"):
        prune(llava, "litelvlm", 48, clip=tower, text="the red circle")


def test_a_call_that_reads_another_layer_is_refused_beside_clip(model, llava, inputs):
    pruned = prune(llava, "litelvlm", 48, clip=model.tower, text="the red circle")
    with pytest.raises(ValueError, match=r"vision_feature_layer.*leave out clip="):
        pruned.forward(**inputs, vision_feature_layer=-1)


def test_clip_that_reads_other_pixels_is_refused(model, llava):
    scaled = replace(model.tower.preprocessing, mean=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"mean and std .*0\.5.* other pictures"):
        towers.own_tower(llava, CLIP, scaled)
    # Cut, padding and kernel are the model's own: CLIP reads the very pixels that it reads.
    padded = replace(model.tower.preprocessing, resize="pad", resample="bilinear")
    assert towers.own_tower(llava, CLIP, padded).preprocessing == padded
