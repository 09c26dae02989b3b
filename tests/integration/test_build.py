"""From names to models: random weights, options, number types, and checkpoints that do not fit."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from litelvlm import get_pruner, load_model
from litelvlm.models.clip_files import read_clip
from litelvlm.models.glamm.build import random_parts
from litelvlm.models.glamm.checkpoints.config import full_clip_config, full_config
from litelvlm.models.glamm.options import GlammOptions
from tests.glamm_parts import EMBEDDED, conversation


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(EMBEDDED["embedded"], tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def test_random_weights_say_so_and_leave_the_generators_alone(folder):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = load_model(folder, random_init=True, device="cpu", dtype="float32")
    assert torch.equal(torch.rand(3), expected)
    assert first.name.endswith("(random weights)")
    assert first.digest == "random"
    again = load_model("embedded", random_init=True, device="cpu")
    assert again.name == "embedded (random weights)"
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    trained = load_model("embedded", device="cpu").state_dict()
    assert not torch.equal(first.state_dict()["projector.0.weight"], trained["projector.0.weight"])


def test_full_size_with_few_layers_segments_end_to_end(monkeypatch, data):
    def few_layers(config):
        small = {
            "num_hidden_layers": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_attention_heads": 4,
        }
        sam = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 32}
        return {**config, **small, "sam": {"vision_config": {**sam, "global_attn_indexes": [0]}}}

    def few_clip_layers():
        config = full_clip_config()
        config.vision_config.num_hidden_layers = 2
        config.text_config.num_hidden_layers = 1
        return config

    monkeypatch.setattr(
        "litelvlm.models.glamm.build.full_config", lambda: few_layers(full_config())
    )
    monkeypatch.setattr("litelvlm.models.glamm.build.full_clip_config", few_clip_layers)
    model = load_model("glamm-7b", random_init=True, dtype="bfloat16", device="cpu")
    assert model.name == "glamm-7b (random weights)"
    assert (model.n_tokens, model.dtype, model.tower.dtype) == (576, torch.bfloat16, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    grounding = model.segment(data[0].image(), "the red circle", get_pruner("litelvlm"), 192)
    assert grounding.mask.shape == (1, data[0].height, data[0].width)
    assert len(grounding.selection.indices) == 192
    assert grounding.logits.isfinite().all()


def test_random_weights_are_drawn_in_the_number_type_they_stay_in(monkeypatch):
    drawn = []
    original = torch.nn.Linear.__init__

    def watched(self, *args, **kwargs):
        original(self, *args, **kwargs)
        drawn.append(self.weight.dtype)

    monkeypatch.setattr(torch.nn.Linear, "__init__", watched)
    config = json.loads((EMBEDDED["embedded"] / "config.json").read_text())
    clip = full_clip_config()
    clip.vision_config.num_hidden_layers = clip.text_config.num_hidden_layers = 1
    random_parts(config, clip, torch.bfloat16, torch.device("cpu"), "sdpa")
    assert set(drawn) == {torch.bfloat16}


def test_weights_and_files_of_glamm_7b_are_refused():
    with pytest.raises(ValueError, match="names sizes only"):
        load_model("glamm-7b")
    with pytest.raises(ValueError, match="reads no files; omit clip= and revision="):
        load_model("glamm-7b", random_init=True, clip="somewhere")


def test_checkpoints_that_do_not_fit_are_explained(folder):
    change_config(folder, mm_hidden_size=190)
    with pytest.raises(ValueError, match="misshapen"):
        load_model(folder, device="cpu")
    change_config(folder, mm_hidden_size=192, vocab_size=500)
    with pytest.raises(ValueError, match=r"has \d+ tokens, its config\.json 500"):
        load_model(folder, device="cpu")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def drill(path):
    weights = load_file(path)
    del weights["visual_projection.weight"]
    save_file(weights, path, metadata={"format": "pt"})


def widen(path):
    weights = load_file(path)
    weights["visual_projection.weight"] = torch.zeros(3, 3)
    save_file(weights, path, metadata={"format": "pt"})


def add_a_layer(path):
    weights, layer = load_file(path), "vision_model.encoder.layers.0."
    more = {name.replace(".0.", ".99."): t.clone() for name, t in weights.items() if layer in name}
    save_file(weights | more, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "is truncated, damaged, or does not fit"),
        (widen, "is truncated, damaged, or does not fit"),
        (drill, r"lacks 1 weights, first visual_projection\.weight"),
        (add_a_layer, r"has 16 weights without a place in its config.json, first vision_.*\.99\."),
    ],
)
def test_a_damaged_clip_is_a_clear_error(folder, damage, words):
    damage(folder / "clip" / "model.safetensors")
    with pytest.raises(ValueError, match=words):
        read_clip(folder / "clip", torch.float32, "sdpa")


@pytest.mark.parametrize(
    ("file", "content", "kind", "words"),
    [
        ("model.safetensors", None, FileNotFoundError, "does not contain CLIP's weights"),
        # The library would go on with two tokens,
        # and every text of the same length would be the same.
        ("tokenizer.json", None, FileNotFoundError, "does not contain CLIP.s vocabulary"),
        ("tokenizer.json", "x", ValueError, "tokenizer of the CLIP in .* is damaged"),
    ],
)
def test_a_clip_without_its_words_or_weights_is_a_clear_error(folder, file, content, kind, words):
    path = folder / "clip" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(kind, match=words):
        load_model(folder, device="cpu")


def test_a_kernel_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("litelvlm.models.files.is_flash_attn_2_available", lambda: False)
    with pytest.raises(ValueError, match="needs a GPU and the package flash-attn; use 'sdpa'"):
        load_model("embedded", attn="flash_attention_2")


def test_stored_position_numbers_of_a_clip_are_passed_over(folder):
    path = folder / "clip" / "model.safetensors"
    weights = load_file(path)
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, path, metadata={"format": "pt"})
    assert read_clip(folder / "clip", torch.float32, "sdpa").config.projection_dim > 0


def test_a_clip_of_tensor_only_bin_files_is_read(folder):
    expected = load_model("embedded", device="cpu").state_dict()
    weights = load_file(folder / "clip" / "model.safetensors")
    torch.save(weights, folder / "clip" / "pytorch_model.bin")
    (folder / "clip" / "model.safetensors").unlink()
    got = load_model(folder, device="cpu", dtype="float32").state_dict()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_options_reach_their_places(model, data):
    image, text = data[1].image(), data[1].expressions[0].sent
    plain = model.segment(image, text)
    assert model.options == GlammOptions()
    changed = {
        "read": model.with_options(read="seg"),
        "tokenisation": model.with_options(tokenisation="library"),
        "crop": model.with_options(crop="pad"),
        "squash": model.with_options(crop="squash"),
    }
    wide = next(s for s in data if s.height != s.width)
    before = model.segment(wide.image(), text).logits
    for name, other in changed.items():
        assert not torch.allclose(other.segment(wide.image(), text).logits, before, atol=1e-3), name
    # The first model is as it was.
    assert torch.equal(model.segment(image, text).logits, plain.logits)
    assert changed["read"].name == "embedded[read=seg]"
    assert changed["read"].with_options(read="before_seg").name == "embedded"
    assert changed["crop"].tower.preprocessing.crop(10, 20, 168).top == -42
    assert model.tower.preprocessing.resize == "shortest"


def test_text_and_image_of_the_ranking_follow_the_options(model, state):
    talk = conversation(["the red circle"])

    def read(cue, **options):
        return getattr(model.with_options(**options).cues(state, talk), cue)

    question, bare = read("text_embeds"), read("text_embeds", clip_text="expression")
    torch.testing.assert_close(bare, model.tower.text(["the red circle"]).text_embeds)
    torch.testing.assert_close(read("text_embeds", clip_text="average"), (question + bare) / 2)
    caption = model.tower.text(["a photo of the red circle"]).text_embeds
    torch.testing.assert_close(read("text_embeds", clip_text="caption"), caption)
    assert not torch.allclose(read("text_embeds", pooling="words"), question, atol=1e-3)
    assert not torch.allclose(read("text_embeds", pooling="no_sos"), question, atol=1e-3)
    clip, tower = state.clip, model.tower
    torch.testing.assert_close(read("patch_embeds"), clip.patch_embeds[0])
    torch.testing.assert_close(
        read("patch_embeds", patch_layer="last"), tower.project(clip.last_hidden_state[:, 1:])[0]
    )
    unnormed = tower.clip.visual_projection(clip.patch_tokens)[0]
    torch.testing.assert_close(read("patch_embeds", patch_norm=False), unnormed)


def test_options_settled_at_loading():
    model = load_model(
        "embedded", device="cpu", dtype="bfloat16", options=GlammOptions(sam_dtype="float32")
    )
    assert {p.dtype for p in model.sam.parameters()} == {torch.float32}
    assert model.dtype == torch.bfloat16
    assert model.name == "embedded[sam_dtype=float32]"
    # The weights as stored, not rounded to bfloat16 on the way.
    exact = load_model("embedded", device="cpu").sam.state_dict()
    assert all(torch.equal(tensor, exact[name]) for name, tensor in model.sam.state_dict().items())
    loose = load_model("embedded", device="cpu", options=GlammOptions(mask_decoder_eps=1e-6))
    blocks = loose.sam.mask_decoder.transformer.layers
    assert {getattr(block, f"layer_norm{i}").eps for block in blocks for i in (1, 2, 3, 4)} == {
        1e-6
    }
    with pytest.raises(ValueError, match="cannot change after loading"):
        loose.with_options(mask_decoder_eps=1e-5)
    with pytest.raises(ValueError, match="did you mean 'read'"):
        loose.with_options(reed="seg")
    with pytest.raises(ValueError, match="unknown crop 'centre'"):
        loose.with_options(crop="centre")
