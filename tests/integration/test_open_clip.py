"""Every open_clip family gives the states of its own forward pass.

OpenAI's layout gives those of the HF tower.
"""

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional
from towers import (
    LAYERS,
    PATCH,
    SENTENCES,
    SHARED,
    SIZE,
    TEXT,
    VISION,
    WIDTH,
    assert_near,
    drawn,
    huggingface_clip,
    huggingface_tokenizer,
    open_clip_tower,
)
from transformers import PreTrainedTokenizerFast

from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.inputs.clip_models import ClipModel
from litelvlm.analysis.studies import mechanism, reversal
from litelvlm.analysis.studies.mechanism.probes import PROBES
from litelvlm.clip.hf import ClipTower
from litelvlm.clip.open_clip import OpenClipTower
from litelvlm.clip.preprocessing import Preprocessing

IMAGE_STATES = ("patch_tokens", "keys", "values", "keys_mean", "image_embeds", "last_hidden_state")
CLS_STATES = ("cls_token", "query", "cls_key", "cls_attention")
EVA_SIZES = {
    "img_size": SIZE,
    "patch_size": PATCH,
    "embed_dim": WIDTH,
    "depth": LAYERS,
    "num_heads": 2,
}


def small_timm(monkeypatch, name, **sizes):
    """An open_clip model on a published timm architecture with only its sizes shrunk."""
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *given, **options: create(*given, **options, **sizes)
    )
    config = open_clip.get_model_config(name)
    config.pop("custom_text")
    config["vision_cfg"]["image_size"] = sizes["img_size"]
    config["text_cfg"] |= {"width": WIDTH, "heads": 2, "layers": LAYERS}
    return config


def eva_tower(name):
    with pytest.MonkeyPatch.context() as patch:
        config = small_timm(patch, name, **EVA_SIZES)
        model = open_clip.CustomTextCLIP(**config | {"embed_dim": SHARED})
    return OpenClipTower(drawn(model), SimpleTokenizer(), Preprocessing())


def native_family(name, tokenizer=None, **words):
    """A published architecture of open_clip's own kind whose sizes are shrunk.

    Activation and pooling stay its own.
    """
    config = open_clip.get_model_config(name)
    vision = config["vision_cfg"] | VISION
    text = config["text_cfg"] | {"width": WIDTH, "heads": 2, "layers": LAYERS} | words
    activation = config.get("quick_gelu", False)
    model = open_clip.CLIP(
        SHARED, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text), activation
    )
    return OpenClipTower(drawn(model), tokenizer or SimpleTokenizer(), Preprocessing())


def word_tokenizer(folder):
    """A tokenizer that ends and pads with </s>, as SigLIP's does."""
    words = ["</s>", "<unk>", "the", "red", "circle", "large", "square"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 0)]
    )
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=8, clean="canonicalize")


def siglip_tower(folder):
    with pytest.MonkeyPatch.context() as patch:
        # 31 / 7 = 4.4: like 384 / 14 the last pixels belong to no patch.
        sizes = EVA_SIZES | {"img_size": 31, "embed_dim": SHARED}
        config = small_timm(patch, "ViT-SO400M-14-SigLIP-384", **sizes)
        config["text_cfg"] |= {"vocab_size": 7, "context_length": 8}
        model = open_clip.CustomTextCLIP(**config | {"embed_dim": SHARED})
    squash = Preprocessing((0.5,) * 3, (0.5,) * 3, "squash")
    return OpenClipTower(drawn(model), word_tokenizer(folder), squash)


def worldwide_tower(folder):
    """Text read at the first end token by its id, which is not the highest of the vocabulary."""
    words = {"vocab_size": 7, "context_length": 8, "eos_id": 0}
    return native_family("ViT-H-14-worldwide-quickgelu", word_tokenizer(folder), **words)


FAMILIES = {
    "native": lambda _: open_clip_tower(),
    "laion": lambda _: native_family(
        "ViT-H-14"
    ),  # exact GELU; OpenAI's weights want its quick form
    "worldwide": worldwide_tower,
    "eva": lambda _: eva_tower("EVA02-L-14-336"),
    # No rotation; one projection for queries, keys and values, biases apart.
    "eva_fused": lambda _: eva_tower("EVA01-g-14"),
    # Blocks that normalise what they add, not what they read.
    "eva_post_norm": lambda _: eva_tower("EVA02-E-14"),
    "siglip": siglip_tower,
}
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in FAMILIES.items()}


@pytest.fixture(scope="module")
def siglip(towers):
    return towers["siglip"]


@pytest.fixture(scope="module")
def eva(towers):
    return towers["eva"]


def to_open_clip(state):
    """Hugging Face names and layouts to those of OpenAI's release.

    Queries, keys and values are joined, and projections are transposed.
    """
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
                old, new = (
                    f"{theirs}.encoder.layers.{layer}",
                    f"{ours}transformer.resblocks.{layer}",
                )
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
    model = open_clip.CLIP(
        SHARED, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), quick_gelu=True
    )
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
    (text, rows), (expected, expected_rows) = (
        ours.text_attention(SENTENCES),
        theirs.text_attention(SENTENCES),
    )
    assert torch.equal(text.eos_index, expected.eos_index)
    assert torch.equal(text.attention_mask, expected.attention_mask)
    real = expected.attention_mask.bool()
    assert torch.equal(text.input_ids[real], expected.input_ids[real])
    assert_near(text.text_embeds, expected.text_embeds)
    assert_near(rows, expected_rows)


@every_family
@torch.inference_mode()
def test_states_are_those_of_the_forward_pass(family, towers):
    tower = towers[family]
    pixels = torch.randn(2, 3, *(tower.image_size,) * 2, generator=torch.Generator().manual_seed(2))
    image = tower.image(pixels)
    told = tower.clip.visual.forward_intermediates(pixels, output_fmt="NLC")
    for states, expected in zip(image.states[1:], told["image_intermediates"], strict=False):
        assert_near(states[:, tower.n_prefix :], expected)
    assert_near(image.last_hidden_state[:, tower.n_prefix :], told["image_intermediates"][-1])
    assert_near(image.image_embeds, tower.clip.encode_image(pixels))
    assert image.patch_tokens.shape[1] == image.keys.shape[1] == tower.grid[0] * tower.grid[1] == 16
    assert_near(
        tower.text(SENTENCES).text_embeds, tower.clip.encode_text(tower.tokenizer(SENTENCES))
    )


@every_family
@torch.inference_mode()
def test_projections_are_those_the_attention_uses(family, towers):
    """Attention rebuilt from our q, k, v is the block's own, rotary positions included."""
    tower = towers[family]
    states = tower.embed(
        torch.randn(1, 3, *(tower.image_size,) * 2, generator=torch.Generator().manual_seed(4))
    )
    query, keys, values = tower.qkv(states, block=0)
    query, keys = tower.placed(query, keys, block=0)
    heads = [t.unflatten(-1, (tower.n_heads, -1)).transpose(1, 2) for t in (query, keys, values)]
    mixed = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
    attn, given = tower.trunk.blocks[0].module.attn, []
    handle = attn.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    tower.block(0, states)
    handle.remove()
    if hasattr(attn, "out_proj"):
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
    # By the definition: softmax of the class token's row over rotated keys, head mean, class token
    # left out.
    logits = torch.einsum(
        "bhe,bshe->bhs", query[:, 0].unflatten(-1, (2, 16)), turned_keys.unflatten(-1, (2, 16))
    )
    assert_near(image.cls_attention, (logits / 4).softmax(-1).mean(1)[:, 1:])


@torch.inference_mode()
def test_patch_embeds_of_the_class_token_are_the_image_embedding(eva, native, pixels):
    for tower in (eva, native):
        image = tower.image(pixels)
        assert_near(tower.project(image.last_hidden_state)[:, 0], image.image_embeds)
        assert_near(image.patch_embeds, tower.project(image.patch_tokens))
        with pytest.raises(
            ValueError, match=rf"{tower.family} has no map_values.*use patch_embeds"
        ):
            tower.map_values(image.patch_tokens)


@torch.inference_mode()
def test_siglip_refuses_what_it_lacks(siglip):
    image = siglip.image(torch.zeros(1, 3, 31, 31))
    for state in CLS_STATES:
        with pytest.raises(
            ValueError, match=rf"SigLIP has no {state}: .*no class token; use keys, values"
        ):
            getattr(image, state)
    with pytest.raises(
        ValueError, match=r"SigLIP has no patch_embeds: .*attention pooling.*use tower\.map_values"
    ):
        _ = image.patch_embeds
    with pytest.raises(ValueError, match="SigLIP has no patch_embeds"):
        siglip.project(image.patch_tokens)
    with pytest.raises(
        ValueError, match=r"SigLIP has no text_attention: .*use a family with causal text"
    ):
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
    # Where all patches are alike, attention has nothing to choose and the pooled image is each
    # patch's own value.
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
    assert torch.equal(native.pixel_values(picture), Preprocessing()(picture, SIZE))
    reference = np.asarray(picture.resize((31, 31), Image.Resampling.BICUBIC)) / 255
    squashed = torch.tensor((reference - 0.5) / 0.5, dtype=torch.float32)
    assert_near(siglip.pixel_values(picture)[0].permute(1, 2, 0), squashed, 1e-6)
    assert (siglip.grid, siglip.patch_size) == ((4, 4), 7)
    with pytest.raises(ValueError, match="mode is 'L'"):
        native.pixel_values(picture.convert("L"))


def test_the_studies_read_every_family(model, data, tmp_path, towers, monkeypatch):
    def load(names, studied):
        return tuple(ClipModel(name, towers[name], "0", studied) for name in names)

    monkeypatch.setattr("litelvlm.analysis.inputs.clip_models.load_clips", load)
    same = {"limit": 1, "pool": 4, "donors": 2, "clip": tuple(FAMILIES)}
    ranked = complete_run(
        reversal.STUDY,
        model,
        data,
        reversal.Config(**same, shifts=5, blobs=2, random_seeds=0),
        tmp_path,
    )
    probed = complete_run(
        mechanism.STUDY, model, data, mechanism.Config(**same, neuron_images=1), tmp_path
    )
    for folder, own in ((ranked, {"cls_cosine", "context"}), (probed, set())):
        rows = read_rows(folder)
        assert not read_record(folder).failures
        assert set(rows["clip_model"]) == {"", *FAMILIES}
        assert np.isfinite(rows["ri"]).all()
        # SigLIP has no class token, so nothing is scored by one.
        assert own & set(rows.loc[rows["clip_model"] == "siglip", "probe"]) == set()
        assert own <= set(rows.loc[rows["clip_model"] == "eva", "probe"])
    # Register neurons need a token without a place, and tokens of outlying norm.
    probes = rows.groupby("clip_model")["probe"].unique()
    assert all(
        set(PROBES) - {"no_outliers", "spare_register", "no_large_norms"} <= set(found)
        for found in probes
    )
