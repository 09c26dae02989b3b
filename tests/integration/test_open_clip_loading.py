"""open_clip models by name, tag and folder, and what is refused."""

import json

import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from towers import (
    SENTENCES,
    SHARED,
    TEXT,
    VISION,
    assert_near,
    huggingface_clip,
    huggingface_tokenizer,
    publish_open_clip,
)

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.clip.open_clip import OpenClipTower
from litelvlm.clip.preprocessing import Preprocessing

CROP = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def test_other_families_are_refused_by_name(native):
    config = {"layers": (1, 1, 1, 1), "width": 8, "image_size": 32, "head_width": 16}
    resnet = open_clip.CLIP(16, config, TEXT)
    with pytest.raises(ValueError, match="ModifiedResNet is not a ViT"):
        OpenClipTower(resnet, SimpleTokenizer(), Preprocessing())
    oblong = open_clip.CLIP(SHARED, VISION | {"image_size": (28, 35)}, TEXT)
    with pytest.raises(ValueError, match="28 x 35"):
        OpenClipTower(oblong, SimpleTokenizer(), Preprocessing())
    pooled = open_clip.CLIP(SHARED, VISION | {"pool_type": "avg"}, TEXT)
    with pytest.raises(ValueError, match="pools by 'avg'"):
        OpenClipTower(pooled, SimpleTokenizer(), Preprocessing())
    with pytest.raises(ValueError, match="Linear is not supported; give a CLIP or CustomTextCLIP"):
        OpenClipTower(torch.nn.Linear(2, 2), SimpleTokenizer())
    with pytest.raises(ValueError, match="give preprocessing="):
        OpenClipTower(native.clip, SimpleTokenizer())


@pytest.fixture
def published_model(tmp_path, monkeypatch, native):
    """A small model in open_clip's tables, with its weights on this disk.

    One tag was trained with QuickGELU.
    """
    tags = {"drawn": CROP | {"quick_gelu": True}, "elsewhere": CROP | {"hf_hub": "nobody/nothing/"}}
    publish_open_clip(monkeypatch, tmp_path, "ViT-Small-7", native, **tags)
    return "ViT-Small-7"


@torch.inference_mode()
def test_load_by_name_takes_weights_activation_and_crop_of_the_tag(
    published_model, native, picture, pixels
):
    tower = load_tower(f"open_clip:{published_model}/drawn", device="cpu")
    assert isinstance(tower, OpenClipTower)
    assert not tower.training
    assert not any(weight.requires_grad for weight in tower.parameters())
    # The configuration says GELU, the tag QuickGELU: only with the latter are the states those of
    # the source.
    assert_near(tower.image(pixels).image_embeds, native.image(pixels).image_embeds)
    assert (tower.preprocessing.mean, tower.preprocessing.std) == (CROP["mean"], CROP["std"])
    again = load_tower(f"open_clip:{published_model}/drawn", dtype="bfloat16", device="cpu")
    assert (
        again.image(again.pixel_values(picture)).patch_embeds.dtype == again.dtype == torch.bfloat16
    )
    assert_near(again.text(SENTENCES).text_embeds.float(), native.text(SENTENCES).text_embeds, 0.2)


@torch.inference_mode()
def test_random_weights_keep_sizes_and_differ_from_the_published(published_model, native, pixels):
    torch.manual_seed(0)
    tower = load_tower(f"open_clip:{published_model}/drawn", device="cpu", random_init=True)
    assert tower.grid == native.grid
    assert (tower.image(pixels).image_embeds - native.image(pixels).image_embeds).abs().max() > 0.1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("open_clip:ViT-L-14-337/openai", "ViT 'ViT-L-14-337'; did you mean 'ViT-L-14-336'"),
        ("open_clip:RN50/openai", "unknown open_clip ViT 'RN50'"),
        ("open_clip:ViT-L-14/laion2b_s32b_b82", "did you mean 'laion2b_s32b_b82k'"),
        ("open_clip:ViT-L-14-336", "unknown tag of ViT-L-14-336 .*Allowed: openai"),
        ("ViT-L-14-336/openai", "did you mean 'open_clip:ViT-L-14-336/openai'"),
        ("openclip:ViT-L-14-336/openai", "unknown tower 'openclip:ViT-L-14-336/openai'"),
    ],
)
def test_names_that_are_refused(name, words):
    with pytest.raises(ValueError, match=words):
        load_tower(name)


def test_what_cannot_be_read_is_refused(published_model, tmp_path):
    with pytest.raises(ValueError, match="unknown number type 'float8'"):
        load_tower(f"open_clip:{published_model}/drawn", dtype="float8")
    for name, words in (
        (f"open_clip:{published_model}/elsewhere", "weights of .*connect once"),
        ("nobody/nothing", "nobody/nothing has no local copy.*hf download nobody/nothing"),
        (tmp_path, r"contains neither config\.json nor open_clip_config\.json"),
    ):
        with pytest.raises(FileNotFoundError, match=words):
            load_tower(name)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(ValueError, match="is a 'siglip' model"):
        load_tower(tmp_path)


@torch.inference_mode()
def test_folders_of_both_kinds(native, tmp_path, pixels):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    config = {"embed_dim": SHARED, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    stored = {
        "model_cfg": config,
        "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]},
    }
    (ours / "open_clip_config.json").write_text(json.dumps(stored))
    weights = {name: value.contiguous() for name, value in native.clip.state_dict().items()}
    save_file(weights, ours / "open_clip_model.safetensors")
    tower = load_tower(ours, device="cpu")
    assert_near(tower.image(pixels).patch_embeds, native.image(pixels).patch_embeds)
    assert tower.preprocessing.mean == (0.1, 0.2, 0.3)

    clip = huggingface_clip()
    clip.save_pretrained(theirs)
    huggingface_tokenizer().save_pretrained(theirs)
    (theirs / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    )
    other = load_tower(theirs, device="cpu")
    assert isinstance(other, ClipTower)
    assert_near(
        other.image(pixels).patch_embeds,
        ClipTower(clip, huggingface_tokenizer()).image(pixels).patch_embeds,
    )
    assert (other.preprocessing.mean, other.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)
