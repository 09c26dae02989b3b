"""LoRA merged or refused by name, and checkpoint folders as trainings leave them."""

import json
import re
import warnings
from math import sqrt
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from litelvlm.data.safe.weight_files import check_shard, read_checkpoint, shard_paths
from litelvlm.models.files import find_files
from litelvlm.models.glamm.checkpoints.convert import convert
from litelvlm.models.lora_files import MergedFiles

PEFT = Path(__file__).parents[1] / "fixtures" / "peft"
PLACE = "model.layers.0.self_attn.q_proj"
R, ALPHA = 2, 6


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


W, A, B, HEAD = numbers(5, 4), numbers(R, 4, seed=1), numbers(5, R, seed=2), numbers(3, 5, seed=3)
MERGED = W + ALPHA / R * (B @ A)


def folder_of(path, tensors, config=None, name="model.safetensors"):
    """A checkpoint folder; .bin where the name ends so."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text("{}")
    if name.endswith(".bin"):
        torch.save(tensors, path / name)
    else:
        save_file(tensors, path / name)
    if config is not None:
        stated = {"peft_type": "LORA", "r": R, "lora_alpha": ALPHA, **config}
        (path / "adapter_config.json").write_text(json.dumps(stated))
    return path


def base(tmp_path, weight=W):
    return folder_of(tmp_path / "base", {f"{PLACE}.weight": weight, "lm_head.weight": HEAD})


def adapter(tmp_path, tensors=None, **config):
    parts = {"lora_A.weight": A, "lora_B.weight": B} if tensors is None else tensors
    named = {f"base_model.model.{PLACE}.{name}": tensor for name, tensor in parts.items()}
    return folder_of(tmp_path / "adapter", named, config, "adapter_model.safetensors")


def trained(tmp_path, **more):
    """All tensors of a training with a LoRA inside, as peft names them in a model."""
    tensors = {
        f"base_model.model.{PLACE}.base_layer.weight": W,
        f"base_model.model.{PLACE}.lora_A.default.weight": A,
        f"base_model.model.{PLACE}.lora_B.default.weight": B,
        "base_model.model.lm_head.weight": HEAD,
        **more,
    }
    return folder_of(tmp_path / "trained", tensors)


def merged(source, base=None, alpha=None):
    target = source.parent / "merged"
    convert(source, target, MergedFiles(source, base, alpha and float(alpha)))
    return dict(read_checkpoint(target))


def test_an_adapter_is_merged_into_its_base(tmp_path):
    found = merged(adapter(tmp_path), base(tmp_path))
    assert found.keys() == {f"{PLACE}.weight", "lm_head.weight"}
    assert torch.equal(found[f"{PLACE}.weight"], MERGED)
    assert torch.equal(found["lm_head.weight"], HEAD)
    assert sorted(path.name for path in (tmp_path / "merged").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_a_lora_inside_a_checkpoint_is_merged_with_the_alpha_given(tmp_path):
    source = trained(tmp_path)
    found = merged(source, alpha=ALPHA)
    assert found.keys() == {f"{PLACE}.weight", "lm_head.weight"}
    assert torch.equal(found[f"{PLACE}.weight"], MERGED)
    # Names as an older peft has them, in a model that GLaMM's training wraps in nothing.
    old = {f"{PLACE}.weight": W, "lm_head.weight": HEAD}
    old |= {f"{PLACE}.lora_{part}.default.weight": t for part, t in (("A", A), ("B", B))}
    again = merged(folder_of(tmp_path / "old" / "trained", old), alpha=ALPHA)
    assert torch.equal(again[f"{PLACE}.weight"], MERGED)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_the_sum_is_taken_in_float32_and_stored_as_the_base_was(tmp_path, kind):
    found = merged(adapter(tmp_path), base(tmp_path, W.to(kind)))[f"{PLACE}.weight"]
    assert found.dtype == kind
    assert torch.equal(found, (W.to(kind).float() + ALPHA / R * (B @ A)).to(kind))


def rows_of_length(matrix, lengths):
    return matrix * (lengths / matrix.norm(dim=1))[:, None]


LENGTHS = numbers(5, seed=4).abs()
KINDS = {
    "rank-stabilised": ({}, {"use_rslora": True}, W + ALPHA / sqrt(R) * (B @ A)),
    "magnitudes": ({"lora_magnitude_vector": LENGTHS}, {"use_dora": True},
                   rows_of_length(MERGED, LENGTHS)),
    "ranks apart": ({}, {"r": 64, "rank_pattern": {"q_proj": R}}, MERGED),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "config", "expected"), KINDS.values(), ids=KINDS.keys())
def test_kinds_of_a_lora(tmp_path, parts, config, expected):
    parts = {"lora_A.weight": A, "lora_B.weight": B, **parts}
    found = merged(adapter(tmp_path, parts, **config), base(tmp_path))
    assert torch.allclose(found[f"{PLACE}.weight"], expected, atol=1e-6)


def test_transposed_weights_and_embeddings(tmp_path):
    turned = merged(
        adapter(tmp_path / "1", fan_in_fan_out=True), base(tmp_path / "1", W.T.contiguous())
    )
    assert torch.equal(turned[f"{PLACE}.weight"], MERGED.T)
    parts = {"lora_embedding_A": numbers(R, 5, seed=5), "lora_embedding_B": numbers(4, R, seed=6)}
    words = merged(adapter(tmp_path / "2", parts), base(tmp_path / "2"))
    product = parts["lora_embedding_B"] @ parts["lora_embedding_A"]
    assert torch.equal(words[f"{PLACE}.weight"], W + ALPHA / R * product.T)


def test_saved_modules_take_the_place_of_the_base(tmp_path):
    other = numbers(3, 5, seed=7)
    source = adapter(tmp_path)
    torch.save({"base_model.model.lm_head.weight": other}, source / "non_lora_trainables.bin")
    assert torch.equal(merged(source, base(tmp_path))["lm_head.weight"], other)
    inside = {
        "base_model.model.lm_head.original_module.weight": HEAD.clone(),
        "base_model.model.lm_head.modules_to_save.default.weight": other,
    }
    folder = trained(tmp_path / "inside", **inside)
    tensors = dict(read_checkpoint(folder))
    del tensors["base_model.model.lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    found = merged(folder, alpha=ALPHA)
    assert found.keys() == {f"{PLACE}.weight", "lm_head.weight"}
    assert torch.equal(found["lm_head.weight"], other)


RECORDED = json.loads((PEFT / "configs.json").read_text())


@pytest.mark.parametrize("kind", RECORDED)
def test_peft_merges_to_the_same_numbers(tmp_path, kind):
    """peft 0.21.2 wrote these adapters of a layer `q_proj`, and merged each into the base."""
    stored = load_file(PEFT / "merged.safetensors")

    def under(place):
        return {n.removeprefix(place): one for n, one in stored.items() if n.startswith(place)}

    alone = under(f"{kind}/adapter/")
    source = folder_of(tmp_path / "adapter", alone, RECORDED[kind], "adapter_model.safetensors")
    found = merged(source, folder_of(tmp_path / "base", under("base/")))
    expected = under(f"{kind}/merged/")
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)
    assert not torch.allclose(found["q_proj.weight"], stored["base/q_proj.weight"])


def test_an_embedding_that_peft_saved_whole_is_merged_too(tmp_path):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "vocab_size": 16}
    model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, **sizes))
    start = folder_of(tmp_path / "base", {n: t.clone() for n, t in model.state_dict().items()})
    places = ["q_proj", "embed_tokens"]
    with warnings.catch_warnings():  # peft reads what newer releases of transformers rename
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=R, target_modules=places))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    assert "embed_tokens.base_layer" in " ".join(
        load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    )
    found = merged(tmp_path / "adapter", start)
    expected = adapted.merge_and_unload().state_dict()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.allclose(found[name], weight, atol=1e-6), name


REFUSED = {
    "unknown scale": ({}, {"lora_alpha": None}, "states no lora_alpha. Give --lora-alpha"),
    "infinite scale": ({}, {"lora_alpha": 1e999}, "is not JSON ('Infinity is not a number"),
    "scale of a text": ({}, {"lora_alpha": "6"}, "has lora_alpha='6'; a number other than 0"),
    "other rank": ({}, {"r": 8}, f"{PLACE} has rank 2, its configuration says 8"),
    "other method": ({}, {"peft_type": "IA3"}, "peft_type='IA3', which is not merged here"),
    "alphas apart": ({}, {"alpha_pattern": {"q": 1}}, "alpha_pattern={'q': 1}, which is not"),
    "changed base": ({}, {"init_lora_weights": "pissa"}, "init_lora_weights='pissa', which is not"),
    "no magnitudes": ({}, {"use_dora": True}, f"{PLACE} lacks lora_magnitude_vector"),
    "one part": ({"lora_B.weight": None}, {}, f"the LoRA of {PLACE} lacks lora_B"),
    "bias of a part": ({"lora_B.bias": B[:, 0]}, {}, "lora_B.bias is no part of a LoRA"),
    "two adapters": ({"lora_A.other.weight": A}, {}, "there are the adapters default and other"),
    "part of AdaLoRA": ({"lora_E": A}, {}, "lora_E is no part of a LoRA that is merged here"),
    "other width": ({"lora_A.weight": A[:, :3]}, {}, f"the LoRA of {PLACE} does not fit"),
    "convolution": ({"lora_A.weight": A[..., None]}, {}, f"the LoRA of {PLACE} does not fit"),
    "no such weight": ({"mlp.weight": A}, {}, "lacks 1 weights that the LoRA changes, such as"),
}


@pytest.mark.parametrize(("parts", "config", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_merged_exactly_is_refused_by_name(tmp_path, parts, config, message):
    whole = {"lora_A.weight": A, "lora_B.weight": B, **parts}
    kept = {name: tensor.clone() for name, tensor in whole.items() if tensor is not None}
    source = adapter(tmp_path, kept, **config)
    with pytest.raises(ValueError, match=re.escape(message)) as found:
        merged(source, base(tmp_path))
    assert len(str(found.value)) < 500
    assert not (tmp_path / "merged").exists()


def test_the_scale_is_never_guessed(tmp_path):
    with pytest.raises(
        ValueError, match=r"scale of the LoRA is unknown: .* GLaMM and LISA take 16"
    ):
        merged(trained(tmp_path))
    with pytest.raises(ValueError, match=r"--lora-alpha 16 is not the lora_alpha 6 of"):
        merged(adapter(tmp_path), base(tmp_path), alpha=16)
    stated = trained(tmp_path)
    (stated / "config.json").write_text(json.dumps({"lora_alpha": ALPHA, "lora_r": R}))
    assert torch.equal(merged(stated)[f"{PLACE}.weight"], MERGED)


def test_the_base_is_found_or_asked_for(tmp_path):
    at = base(tmp_path)
    found = merged(adapter(tmp_path, base_model_name_or_path=str(at)))
    assert torch.equal(found[f"{PLACE}.weight"], MERGED)
    for named, said in (("gone/model", r"gone/model\) is"), (None, "which it does not name")):
        source = adapter(tmp_path / str(named), base_model_name_or_path=named)
        with pytest.raises(FileNotFoundError, match=f"its base .*{said}.* with --base"):
            merged(source)
    with pytest.raises(ValueError, match="holds no LoRA; leave --merge-lora out"):
        merged(at)
    bare = trained(tmp_path / "bare")
    (bare / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config\.json; name the folder .* --base"):
        merged(bare, alpha=ALPHA)


def test_weights_with_a_lora_are_never_read_without_it(tmp_path):
    alone, beside = adapter(tmp_path / "alone"), adapter(tmp_path / "beside")
    save_file({f"{PLACE}.weight": W}, beside / "model.safetensors")
    for folder, said in (
        (alone, "adapter without its base"),
        (beside, "adapter beside the weights"),
    ):
        for read in (lambda at: find_files(at, ()), lambda at: convert(at, tmp_path / "out")):
            with pytest.raises(ValueError, match=rf"{said} .*litelvlm convert .* --merge-lora"):
                read(folder)
    with pytest.raises(ValueError, match=r"holds a LoRA that is not merged .* --merge-lora"):
        convert(trained(tmp_path), tmp_path / "out")


def test_what_would_be_lost_silently_is_refused(tmp_path):
    twice = trained(tmp_path / "twice", **{"lm_head.weight": numbers(3, 5, seed=8)})
    with pytest.raises(ValueError, match=r"holds lm_head\.weight under two names; keep one"):
        merged(twice, alpha=ALPHA)
    (base(tmp_path) / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="base holds an adapter beside the weights"):
        merged(adapter(tmp_path), tmp_path / "base")
    only = adapter(tmp_path / "only")
    torch.save({}, only / "training_args.bin")
    with pytest.raises(ValueError, match="holds an adapter without its base"):
        find_files(only, ())


def test_shards_in_a_folder_called_like_the_file_are_read(tmp_path):
    inside = tmp_path / "model" / "pytorch_model.bin"
    inside.mkdir(parents=True)
    shards = {"pytorch_model-00001-of-00002.bin": "a", "pytorch_model-00002-of-00002.bin": "b"}
    for file, name in shards.items():
        torch.save({name: W}, inside / file)
    for folder in (inside, tmp_path / "model"):  # without an index, then with one
        assert list(dict(read_checkpoint(folder))) == ["a", "b"]
        index = {"weight_map": {name: file for file, name in shards.items()}}
        (inside / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (inside / "pytorch_model-00002-of-00002.bin").unlink()
    message = "2 weight files, and 1 are files that are not there: pytorch_model-00002-of-00002.bin"
    with pytest.raises(FileNotFoundError, match=message):
        shard_paths(tmp_path / "model")
    (inside / "pytorch_model.bin.index.json").unlink()
    with pytest.raises(FileNotFoundError, match=message):
        shard_paths(tmp_path / "model")


def test_many_missing_shards_are_counted_not_listed(tmp_path):
    (tmp_path / "model-00001-of-00300.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"299 are files that are .* and 296 more") as found:
        shard_paths(tmp_path)
    assert len(str(found.value)) < 400
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="holds shards of 00002 and of 00300; keep one set"):
        shard_paths(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("global_step500", r"global_step500 is a training state of DeepSpeed, .*zero_to_fp32\.py"),
        ("mp_rank_00_model_states.pt", "a training state of DeepSpeed"),
        ("__0_0.distcp", "accelerate merge-weights"),
        ("model.gguf", r"llama\.cpp"),
        ("epoch_1.pth", "save_pretrained"),
        ("other", "looked for model.safetensors.index.json"),
    ],
)
def test_what_lies_in_place_of_weights_is_named_with_the_way_out(tmp_path, name, said):
    (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError, match=f"does not contain weights; .*{said}"):
        shard_paths(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    for read in (check_shard, lambda at: dict(read_checkpoint(at.parent))):
        with pytest.raises(ValueError, match=f"{name} stands for weights .*`git lfs pull`"):
            read(path)
