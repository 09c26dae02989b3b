"""Weights with a LoRA, or without a part: never a silent number; merged by the command line."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from litelvlm import load_model, load_vlm
from litelvlm.analysis.cli import main
from litelvlm.clip.load import load_tower
from tests.glamm_parts import EMBEDDED

R, ALPHA = 2, 16


def numbers(*shape, seed):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_lora(tensors, place):
    """The tensors as a training with peft leaves them, a LoRA at one place."""
    weight = tensors[f"{place}.weight"]
    kept = {name: tensor for name, tensor in tensors.items() if name != f"{place}.weight"}
    return kept | {
        f"{place}.base_layer.weight": weight,
        f"{place}.lora_A.default.weight": numbers(R, weight.shape[1], seed=1),
        f"{place}.lora_B.default.weight": numbers(len(weight), R, seed=2),
    }


def changed(folder, tmp_path, change):
    """A copy of a model's folder with other tensors."""
    copy = shutil.copytree(folder, tmp_path / "changed")
    tensors = change(load_file(copy / "model.safetensors"))
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def without_one(tensors):
    return {name: tensors[name] for name in sorted(tensors)[1:]}


def first_query(tensors):
    return min(name for name in tensors if name.endswith("q_proj.weight")).removesuffix(".weight")


@pytest.mark.parametrize("kind", ["llava", "qwen2_5_vl"])
def test_a_vlm_with_a_missing_weight_or_a_lora_is_refused(folders, tmp_path, kind):
    missing = changed(folders[kind], tmp_path / "missing", without_one)
    with pytest.raises(ValueError, match=r"lacks 1 weights, first \w+.*; fetch it again"):
        load_vlm(missing)
    lora = changed(folders[kind], tmp_path / "lora", lambda t: with_lora(t, first_query(t)))
    with pytest.raises(ValueError, match=r"holds a LoRA that is not merged \(3 tensors such as"):
        load_vlm(lora)
    (missing / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an adapter beside the weights"):
        load_vlm(missing)


def test_a_clip_with_a_missing_weight_is_refused(tmp_path):
    folder = changed(EMBEDDED["embedded"] / "clip", tmp_path, without_one)
    with pytest.raises(ValueError, match=r"the CLIP in .* lacks 1 weights"):
        load_tower(str(folder))


def test_a_trained_glamm_is_merged_by_the_command_line(tmp_path, capsys, sample):
    """As DeepSpeed's script leaves it: a folder of shards, and neither tokenizer nor sizes."""
    base = EMBEDDED["embedded"]
    original = load_file(base / "model.safetensors")
    place = first_query(original)
    tensors = with_lora(original, place)
    inside = tmp_path / "trained" / "pytorch_model.bin"
    inside.mkdir(parents=True)
    names = sorted(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": names[:40],
              "pytorch_model-00002-of-00002.bin": names[40:]}  # fmt: skip
    for file, members in shards.items():
        torch.save({name: tensors[name].clone() for name in members}, inside / file)

    def convert(*options):
        code = main(["convert", str(inside.parent), str(tmp_path / "merged"), *map(str, options)])
        said = capsys.readouterr()
        return code, said.out + said.err

    for options, message in (
        ([], "holds a LoRA that is not merged"),
        (["--lora-alpha", ALPHA], "--base and --lora-alpha go with --merge-lora"),
        (["--merge-lora"], "no config.json; name the folder that the training began with"),
        (["--merge-lora", "--base", base], "the scale of the LoRA is unknown"),
    ):
        code, said = convert(*options)
        assert (code != 0, message in said) == (True, True), said
        assert not (tmp_path / "merged").exists()
    code, said = convert("--merge-lora", "--base", base, "--lora-alpha", ALPHA)
    assert code == 0, said
    assert "1 changed by alpha 16 / rank" in said
    merged = load_file(tmp_path / "merged" / "model-00001-of-00002.safetensors")
    merged |= load_file(tmp_path / "merged" / "model-00002-of-00002.safetensors")
    a, b = (tensors[f"{place}.lora_{part}.default.weight"] for part in "AB")
    assert merged.keys() == original.keys()
    total = original[f"{place}.weight"].float() + ALPHA / R * (b @ a)
    assert torch.equal(merged[f"{place}.weight"], total.half())  # as the miniature is stored
    model, plain = load_model(tmp_path / "merged", device="cpu"), load_model(base, device="cpu")
    text = sample.expressions[0].sent
    logits = [one.segment(sample.image(), text).logits for one in (model, plain)]
    assert not np.allclose(*map(np.asarray, logits))
    others = shutil.ignore_patterns("model.safetensors")
    shutil.copytree(base, inside.parent, ignore=others, dirs_exist_ok=True)
    with pytest.raises(ValueError, match=r"litelvlm convert .* --merge-lora"):
        load_model(inside.parent, device="cpu")
