"""Every open_clip family gives the states of its own forward pass; OpenAI's layout gives those of the HF tower."""

import json

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip import pretrained as published
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, PreTrainedTokenizerFast

from litelvlm.clip.base import Preprocessing
from litelvlm.clip.open_clip import OpenClipTower, load_tower, open_clip_vits
from litelvlm.clip.tower import ClipTower
from litelvlm.glamm.preprocess import clip_pixel_values

SENTENCES = ["Please segment the red circle in this image.", "the large square", ""]
WIDTH, LAYERS, SIZE, PATCH, SHARED = 32, 3, 28, 7, 24
IMAGE_STATES = ("patch_tokens", "keys", "values", "keys_mean", "image_embeds", "last_hidden_state")
CLS_STATES = ("cls_token", "query", "cls_key", "cls_attention")
FAMILIES = ("native", "eva", "eva_fused", "eva_post_norm", "siglip")
TEXT = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": LAYERS}
VISION = {"image_size": SIZE, "patch_size": PATCH, "layers": LAYERS, "width": WIDTH, "head_width": 16}
CROP = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "interpolation": "bicubic", "resize_mode": "shortest"}


def assert_near(actual, expected, tolerance=1e-4):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def picture():
    noise = np.random.default_rng(0).integers(0, 256, (41, 60, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def drawn(model, seed=0):
    """Weights wide enough that norms, biases and rotations all matter to the result."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        with torch.no_grad():
            weight.copy_(1 + 0.2 * noise if weight.ndim == 1 and name.endswith("weight") else 0.2 * noise)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def native():
    model = open_clip.CLIP(SHARED, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), quick_gelu=True)
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())


def small_timm(monkeypatch, name, **sizes):
    """An open_clip model on a published timm architecture whose sizes are shrunk, and nothing else."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *given, **options: create(*given, **options, **sizes))
    config = open_clip.get_model_config(name)
    config.pop("custom_text")
    config["vision_cfg"]["image_size"] = sizes["img_size"]
    config["text_cfg"] |= {"width": WIDTH, "heads": 2, "layers": LAYERS}
    return config


def eva_tower(name):
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": 2}
        config = small_timm(patch, name, **sizes)
        model = open_clip.CustomTextCLIP(**config | {"embed_dim": SHARED})
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())


@pytest.fixture(scope="module")
def eva():
    return eva_tower("EVA02-L-14-336")


@pytest.fixture(scope="module")
def eva_fused():
    """No rotation; one projection for queries, keys and values, biases apart."""
    return eva_tower("EVA01-g-14")


@pytest.fixture(scope="module")
def eva_post_norm():
    """Blocks that normalise what they add, not what they read."""
    return eva_tower("EVA02-E-14")


def word_tokenizer(folder):
    """A tokenizer that ends and pads with </s>, as SigLIP's does."""
    words = ["</s>", "<unk>", "the", "red", "circle", "large", "square"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=8, clean="canonicalize")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # 31 / 7 = 4.4: like 384 / 14 the last pixels belong to no patch.
        sizes = {"img_size": 31, "patch_size": PATCH, "embed_dim": SHARED, "depth": LAYERS, "num_heads": 2}
        config = small_timm(patch, "ViT-SO400M-14-SigLIP-384", **sizes)
        config["text_cfg"] |= {"vocab_size": 7, "context_length": 8}
        model = open_clip.CustomTextCLIP(**config | {"embed_dim": SHARED})
    tokenizer = word_tokenizer(tmp_path_factory.mktemp("siglip"))
    return OpenClipTower(drawn(model), tokenizer, Preprocessing((0.5,) * 3, (0.5,) * 3, "squash"))


def huggingface_clip():
    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 4 * WIDTH,
    }
    tokens = SimpleTokenizer()
    ids = {
        "bos_token_id": tokens.sot_token_id,
        "eos_token_id": tokens.eot_token_id,
        "pad_token_id": tokens.eot_token_id,
    }
    config = CLIPConfig(
        text_config=sizes | ids | {"vocab_size": 49408, "projection_dim": SHARED},
        vision_config=sizes | {"image_size": SIZE, "patch_size": PATCH, "projection_dim": SHARED},
        projection_dim=SHARED,
    )
    return drawn(CLIPModel(config), seed=3)


def huggingface_tokenizer():
    tokens = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {names.get(word, word): i for word, i in tokens.encoder.items()}
    return CLIPTokenizer(vocab=vocab, merges=list(tokens.bpe_ranks))


def to_open_clip(state):
    """Hugging Face names and layouts to those of OpenAI's release: joint q/k/v, projections transposed."""
    out = {
        "logit_scale": state["logit_scale"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
    }
    for kind in ("weight", "bias"):
        out[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
        out[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        for theirs, ours in (("vision_model", "visual."), ("text_model", "")):
            for layer in range(LAYERS):
                old, new = f"{theirs}.encoder.layers.{layer}", f"{ours}transformer.resblocks.{layer}"
                parts = [state[f"{old}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
                out[f"{new}.attn.in_proj_{kind}"] = torch.cat(parts)
                for a, b in (
                    ("self_attn.out_proj", "attn.out_proj"),
                    ("layer_norm1", "ln_1"),
                    ("layer_norm2", "ln_2"),
                    ("mlp.fc1", "mlp.c_fc"),
                    ("mlp.fc2", "mlp.c_proj"),
                ):
                    out[f"{new}.{b}.{kind}"] = state[f"{old}.{a}.{kind}"]
    return out


@torch.inference_mode()
def test_openai_layout_agrees_with_the_hugging_face_tower(pixels):
    clip = huggingface_clip()
    theirs = ClipTower(clip, huggingface_tokenizer())
    model = open_clip.CLIP(SHARED, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), quick_gelu=True)
    model.load_state_dict(to_open_clip(clip.state_dict()), strict=True)
    ours = OpenClipTower(model.eval(), SimpleTokenizer(), Preprocessing())
    assert (ours.grid, ours.image_size, ours.n_heads, ours.family) == (theirs.grid, SIZE, 2, "CLIP")
    mine, other = ours.image(pixels), theirs.image(pixels)
    assert len(mine.states) == len(other.states) == LAYERS
    for ours_state, theirs_state in zip(mine.states, other.states, strict=True):
        assert_near(ours_state, theirs_state)
    for state in (*IMAGE_STATES, *CLS_STATES, "patch_embeds"):
        assert_near(getattr(mine, state), getattr(other, state))
    for a, b in zip(mine.last_qkv, other.last_qkv, strict=True):
        assert_near(a, b)
    (text, rows), (expected, expected_rows) = ours.text_attention(SENTENCES), theirs.text_attention(SENTENCES)
    assert torch.equal(text.eos_index, expected.eos_index)
    assert torch.equal(text.attention_mask, expected.attention_mask)
    real = expected.attention_mask.bool()
    assert torch.equal(text.input_ids[real], expected.input_ids[real])
    assert_near(text.text_embeds, expected.text_embeds)
    assert_near(rows, expected_rows)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_states_are_those_of_the_forward_pass(family, request):
    tower = request.getfixturevalue(family)
    pixels = torch.randn(2, 3, *(tower.image_size,) * 2, generator=torch.Generator().manual_seed(2))
    image = tower.image(pixels)
    told = tower.clip.visual.forward_intermediates(pixels, output_fmt="NLC")
    for states, expected in zip(image.states[1:], told["image_intermediates"], strict=False):
        assert_near(states[:, tower.n_prefix :], expected)
    assert_near(image.last_hidden_state[:, tower.n_prefix :], told["image_intermediates"][-1])
    assert_near(image.image_embeds, tower.clip.encode_image(pixels))
    assert image.patch_tokens.shape[1] == image.keys.shape[1] == tower.grid[0] * tower.grid[1] == 16
    assert_near(tower.text(SENTENCES).text_embeds, tower.clip.encode_text(tower.tokenizer(SENTENCES)))


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_projections_are_those_the_attention_uses(family, request):
    """Attention rebuilt from our q, k, v is what the block's own attention gives, rotary positions included."""
    tower = request.getfixturevalue(family)
    states = tower.embed(torch.randn(1, 3, *(tower.image_size,) * 2, generator=torch.Generator().manual_seed(4)))
    query, keys, values = tower.qkv(states, block=0)
    query, keys = tower.placed(query, keys, block=0)
    heads = [t.unflatten(-1, (tower.n_heads, -1)).transpose(1, 2) for t in (query, keys, values)]
    mixed = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
    attn, given = tower.trunk.blocks[0].attn, []
    handle = attn.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    tower.block(0, states)
    handle.remove()
    if family == "native":
        assert_near(attn.out_proj(mixed), given[0][0])
    else:
        assert_near(attn.proj(attn.norm(mixed)), given[0])


@torch.inference_mode()
def test_class_attention_of_eva_rotates_patches_only(eva, pixels):
    image = eva.image(pixels)
    query, keys = image.penultimate_qk
    turned_query, turned_keys = eva.placed(query, keys, block=-2)
    assert torch.equal(turned_query[:, 0], query[:, 0])
    assert (turned_keys[:, 1:] - keys[:, 1:]).abs().max() > 0.1
    # A rotation keeps lengths.
    assert_near(turned_keys.norm(dim=-1), keys.norm(dim=-1))
    # By the definition: softmax of the class token's row over rotated keys, head mean, class token left out.
    logits = torch.einsum("bhe,bshe->bhs", query[:, 0].unflatten(-1, (2, 16)), turned_keys.unflatten(-1, (2, 16)))
    assert_near(image.cls_attention, (logits / 4).softmax(-1).mean(1)[:, 1:])


@torch.inference_mode()
def test_patch_embeds_of_the_class_token_are_the_image_embedding(eva, native, pixels):
    for tower in (eva, native):
        image = tower.image(pixels)
        assert_near(tower.project(image.last_hidden_state)[:, 0], image.image_embeds)
        assert_near(image.patch_embeds, tower.project(image.patch_tokens))
        with pytest.raises(ValueError, match=rf"{tower.family} has no map_values.*use patch_embeds"):
            tower.map_values(image.patch_tokens)


@torch.inference_mode()
def test_siglip_refuses_what_it_lacks(siglip):
    image = siglip.image(torch.zeros(1, 3, 31, 31))
    for state in CLS_STATES:
        with pytest.raises(ValueError, match=rf"SigLIP has no {state}: .*no class token; use keys, values"):
            getattr(image, state)
    with pytest.raises(ValueError, match=r"SigLIP has no patch_embeds: attention pooling.*use tower\.map_values"):
        _ = image.patch_embeds
    with pytest.raises(ValueError, match="SigLIP has no patch_embeds"):
        siglip.project(image.patch_tokens)
    with pytest.raises(ValueError, match=r"SigLIP has no text_attention: .*use a family with causal text"):
        siglip.text_attention(SENTENCES)
    with pytest.raises(ValueError, match="SigLIP has no eos_index"):
        _ = siglip.text(SENTENCES).eos_index


@torch.inference_mode()
def test_siglip_value_path_is_values_through_the_pooling(siglip):
    image = siglip.image(torch.randn(1, 3, 31, 31, generator=torch.Generator().manual_seed(5)))
    trunk = siglip.clip.visual.trunk
    pool = trunk.attn_pool
    value = pool.kv(trunk.norm(image.patch_tokens)).chunk(2, dim=-1)[1]
    expected = pool.proj(value)
    expected = expected + pool.mlp(pool.norm(expected))
    assert_near(siglip.map_values(image.patch_tokens), expected)
    # Where all patches are alike, attention has nothing to choose and the pooled image is each patch's own value.
    alike = image.states[-1][:, :1].expand(-1, 16, -1)
    assert_near(siglip.pool(alike), siglip.map_values(alike)[:, 0])


@torch.inference_mode()
def test_siglip_text_reads_its_padding(siglip):
    text = siglip.text(["the red circle", "the large red square the red circle square"])
    assert text.input_ids.shape == (2, 8)
    assert text.attention_mask.min() == 1
    assert text.pooled_index.tolist() == [7, 7]
    assert text.truncated == (False, True)  # eight words and </s> are nine tokens


@torch.inference_mode()
def test_causal_text_is_cut_to_the_longest_and_truncation_is_said(native):
    text, rows = native.text_attention([*SENTENCES, "red circle " * 300])
    assert text.truncated == (False, False, False, True)
    assert text.input_ids.shape == (4, 77)
    assert text.eos_index[2] == 1  # an empty sentence is [SOS][EOS]
    assert_near(rows.sum(-1), torch.ones(LAYERS, 4, 2))
    assert rows[:, 2, :, 2:].abs().max() == 0
    short = native.text(SENTENCES)
    assert short.input_ids.shape[1] == int(short.eos_index.max()) + 1
    assert_near(short.text_embeds, text.text_embeds[:3], 1e-5)
    with pytest.raises(ValueError, match="at least one sentence"):
        native.text([])


def test_crops(picture, siglip, native):
    expected = clip_pixel_values(picture, SIZE)
    assert torch.equal(native.pixel_values(picture), expected)
    squashed = siglip.pixel_values(picture)
    reference = np.asarray(picture.resize((31, 31), Image.Resampling.BICUBIC)) / 255
    assert_near(squashed[0].permute(1, 2, 0), torch.tensor((reference - 0.5) / 0.5, dtype=torch.float32), 1e-6)
    assert siglip.preprocessing.crop(41, 60, 31).box == (0.0, 0.0, 41.0, 60.0)
    assert native.preprocessing.crop(40, 60, 20).box == (0.0, 10.0, 40.0, 50.0)
    assert (siglip.grid, siglip.patch_size) == ((4, 4), 7)
    with pytest.raises(ValueError, match="mode is 'L'"):
        native.pixel_values(picture.convert("L"))


def test_other_families_are_refused_by_name(native):
    config = {"layers": (1, 1, 1, 1), "width": 8, "image_size": 32, "head_width": 16}
    resnet = open_clip.CLIP(16, config, TEXT)
    with pytest.raises(ValueError, match="ModifiedResNet is no ViT"):
        OpenClipTower(resnet, SimpleTokenizer(), Preprocessing())
    oblong = open_clip.CLIP(SHARED, VISION | {"image_size": (28, 35)}, TEXT)
    with pytest.raises(ValueError, match="28 x 35"):
        OpenClipTower(oblong, SimpleTokenizer(), Preprocessing())
    pooled = open_clip.CLIP(SHARED, VISION | {"pool_type": "avg"}, TEXT)
    with pytest.raises(ValueError, match="pools by 'avg'"):
        OpenClipTower(pooled, SimpleTokenizer(), Preprocessing())
    with pytest.raises(ValueError, match="Linear is no CLIP or CustomTextCLIP"):
        OpenClipTower(torch.nn.Linear(2, 2), SimpleTokenizer())
    with pytest.raises(ValueError, match="give preprocessing="):
        OpenClipTower(native.clip, SimpleTokenizer())


@pytest.fixture
def published_model(tmp_path, monkeypatch, native):
    """A small model in open_clip's tables, with one tag trained with QuickGELU and its weights on this disk."""
    (tmp_path / "ViT-Small-7.json").write_text(
        json.dumps({"embed_dim": SHARED, "vision_cfg": VISION, "text_cfg": TEXT})
    )
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(tmp_path / "ViT-Small-7.json")
    weights = tmp_path / "small.safetensors"
    save_file({name: value.contiguous() for name, value in native.clip.state_dict().items()}, weights)
    tags = {
        "drawn": CROP | {"file": str(weights), "quick_gelu": True},
        "elsewhere": CROP | {"hf_hub": "nobody/nothing/"},
    }
    monkeypatch.setitem(published._PRETRAINED, "ViT-Small-7", tags)
    return "ViT-Small-7"


@torch.inference_mode()
def test_load_by_name_takes_weights_activation_and_crop_of_the_tag(published_model, native, picture, pixels):
    tower = load_tower(f"open_clip:{published_model}/drawn", device="cpu")
    assert isinstance(tower, OpenClipTower)
    assert not tower.training
    assert not any(weight.requires_grad for weight in tower.parameters())
    # The configuration says GELU, the tag QuickGELU: only with the latter are the states those of the source.
    assert_near(tower.image(pixels).image_embeds, native.image(pixels).image_embeds)
    assert (tower.preprocessing.mean, tower.preprocessing.std) == (CROP["mean"], CROP["std"])
    again = load_tower(f"open_clip:{published_model}", pretrained="drawn", dtype="bfloat16", device="cpu")
    assert again.image(again.pixel_values(picture)).patch_embeds.dtype == again.dtype == torch.bfloat16
    assert_near(again.text(SENTENCES).text_embeds.float(), native.text(SENTENCES).text_embeds, 0.2)


@torch.inference_mode()
def test_random_weights_keep_sizes_and_differ_from_the_published(published_model, native, pixels):
    torch.manual_seed(0)
    tower = load_tower(f"open_clip:{published_model}/drawn", device="cpu", random_init=True)
    assert tower.grid == native.grid
    assert (tower.image(pixels).image_embeds - native.image(pixels).image_embeds).abs().max() > 0.1


def test_a_tokenizer_that_cannot_be_fetched(published_model, monkeypatch):
    config = open_clip.factory._MODEL_CONFIGS[published_model]
    text = config["text_cfg"] | {"hf_tokenizer_name": "nobody/nothing"}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, published_model, config | {"text_cfg": text})
    with pytest.raises(FileNotFoundError, match=f"tokenizer of open_clip:{published_model}/drawn: .*connect once"):
        load_tower(f"open_clip:{published_model}/drawn")


def test_load_refusals(published_model, tmp_path):
    with pytest.raises(ValueError, match=r"unknown open_clip ViT 'ViT-L-14-337'; did you mean 'ViT-L-14-336'"):
        load_tower("open_clip:ViT-L-14-337/openai")
    with pytest.raises(ValueError, match="unknown open_clip ViT 'RN50'"):
        load_tower("open_clip:RN50/openai")
    with pytest.raises(ValueError, match=r"did you mean 'laion2b_s32b_b82k'"):
        load_tower("open_clip:ViT-L-14/laion2b_s32b_b82")
    with pytest.raises(ValueError, match=r"unknown tag of ViT-L-14-336 .*Allowed: openai"):
        load_tower("open_clip:ViT-L-14-336")
    with pytest.raises(ValueError, match="two tags"):
        load_tower(f"open_clip:{published_model}/drawn", pretrained="elsewhere")
    with pytest.raises(ValueError, match="did you mean 'open_clip:ViT-L-14-336/openai'"):
        load_tower("ViT-L-14-336/openai")
    with pytest.raises(ValueError, match="unknown tower 'openclip:ViT-L-14-336/openai'"):
        load_tower("openclip:ViT-L-14-336/openai")
    with pytest.raises(ValueError, match="goes with 'open_clip:<model>' only"):
        load_tower("openai/clip-vit-base-patch16", pretrained="openai")
    with pytest.raises(ValueError, match="unknown number type 'float8'"):
        load_tower(f"open_clip:{published_model}/drawn", dtype="float8")
    with pytest.raises(FileNotFoundError, match=r"weights of .*connect once"):
        load_tower(f"open_clip:{published_model}/elsewhere")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(ValueError, match="is a 'siglip' model"):
        load_tower(tmp_path)


def test_models_of_the_studies_are_known():
    # The models of the reversal study, and one that is refused for each reason.
    known = set(open_clip_vits())
    assert {"ViT-L-14-336", "ViT-L-14", "EVA02-L-14-336", "ViT-SO400M-14-SigLIP-384", "ViT-B-16"} <= known
    refused = {"RN50", "convnext_base", "coca_ViT-L-14", "ViT-H-14-CLIPA", "nllb-clip-base-siglip", "ViTamin-S"}
    assert not known & refused


@torch.inference_mode()
def test_folders_of_both_kinds(native, tmp_path, pixels):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    config = {"embed_dim": SHARED, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    stored = {"model_cfg": config, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]}}
    (ours / "open_clip_config.json").write_text(json.dumps(stored))
    weights = {name: value.contiguous() for name, value in native.clip.state_dict().items()}
    save_file(weights, ours / "open_clip_model.safetensors")
    tower = load_tower(ours, device="cpu")
    assert_near(tower.image(pixels).patch_embeds, native.image(pixels).patch_embeds)
    assert tower.preprocessing.mean == (0.1, 0.2, 0.3)

    clip = huggingface_clip()
    clip.save_pretrained(theirs)
    huggingface_tokenizer().save_pretrained(theirs)
    (theirs / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    other = load_tower(theirs, device="cpu")
    assert isinstance(other, ClipTower)
    assert_near(other.image(pixels).patch_embeds, ClipTower(clip, huggingface_tokenizer()).image(pixels).patch_embeds)
    assert (other.preprocessing.mean, other.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)
