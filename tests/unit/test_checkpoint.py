"""The table of checkpoint names, and weight files whole, in shards, converted and damaged."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from litelvlm.data.safe.weight_files import read_checkpoint, shard_paths
from litelvlm.models.glamm.checkpoints.convert import convert, summary
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.weight_names import OwnWeight
from tests.hostile import MakesFolder

LAYOUT = json.loads(
    (
        Path(__file__).parents[1] / "fixtures" / "parity" / "layout" / "checkpoint_keys.json"
    ).read_text()
)
SAM = "model.grounding_encoder."


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return {f"t{i}": torch.randn(3, i + 1, generator=generator) for i in range(5)}


def write_bin_shards(folder, tensors):
    names = list(tensors)
    parts = {
        "pytorch_model-00001-of-00002.bin": names[:2],
        "pytorch_model-00002-of-00002.bin": names[2:],
    }
    for file, members in parts.items():
        torch.save({name: tensors[name] for name in members}, folder / file)
    index = {"weight_map": {name: file for file, members in parts.items() for name in members}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        ("model.layers.31.mlp.gate_proj.weight", ("llama", "model.layers.31.mlp.gate_proj.weight")),
        ("model.mm_projector.2.bias", ("projector", "2.bias")),
        ("model.text_hidden_fcs.0.0.weight", ("seg_head", "0.weight")),
        (
            SAM + "image_encoder.blocks.7.norm2.bias",
            ("sam", "vision_encoder.layers.7.layer_norm2.bias"),
        ),
        (
            SAM + "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
            ("sam", "shared_image_embedding.positional_embedding"),
        ),
    ],
)
def test_names(official, expected):
    assert NAMES.target_of(official) == expected
    assert NAMES.official_name(OwnWeight(*expected)) == official


def test_every_published_name_has_one_target_of_its_own():
    targets = {name: NAMES.target_of(name) for name in LAYOUT["keys"]}
    assert len(targets) == 968
    tower = "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding"
    assert NAMES.target_of(tower) is None
    used = {name: target for name, target in targets.items() if target is not None}
    # 32 rotary buffers and 43 tensors of the region encoder are not needed.
    assert len(used) == len(set(used.values())) == 968 - 32 - 43
    assert all(NAMES.official_name(target) == name for name, target in used.items())


@pytest.mark.parametrize(
    "name", ["foo", "model.embed_tokens", SAM + "pixel_mean", "model.text_hidden_fcs.1.0.weight"]
)
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        NAMES.target_of(name)


def test_second_name_of_the_fourier_matrix_is_not_saved():
    (twin,) = NAMES.twins.values()
    assert NAMES.official_name(twin) is None
    with pytest.raises(ValueError, match="no name in a GLaMM checkpoint"):
        NAMES.official_name(OwnWeight("sam", "foo"))


def test_shards_are_read_one_after_the_other(tmp_path, tensors):
    read = dict(read_checkpoint(write_bin_shards(tmp_path, tensors)))
    assert list(read) == list(tensors)
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_safetensors_are_preferred(tmp_path, tensors):
    write_bin_shards(tmp_path, tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    assert [path.name for path in shard_paths(tmp_path)] == ["model.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_conversion_keeps_names_numbers_and_side_files(tmp_path, tensors, dtype):
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "clip").mkdir(parents=True)
    (source / "notes").mkdir()
    (source / "clip" / "config.json").write_text("{}")
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    tensors["tied"] = tensors["t4"]  # shares memory inside its file
    write_bin_shards(source, tensors)
    (source / "config.json").write_text("{}")
    written = convert(source, target)
    assert [path.name for path in written] == [
        f"model-0000{i}-of-00002.safetensors" for i in (1, 2)
    ]
    read = dict(read_checkpoint(target))
    assert read.keys() == tensors.keys()
    assert all(
        read[name].dtype == dtype and torch.equal(read[name], tensors[name]) for name in tensors
    )
    assert {path.name for path in target.iterdir()} == {
        "clip", "config.json", "model.safetensors.index.json", *(path.name for path in written),
    }  # fmt: skip


def test_conversion_of_one_file(tmp_path, tensors):
    source = tmp_path / "bin"
    source.mkdir()
    torch.save(tensors, source / "pytorch_model.bin")
    assert convert(source, tmp_path / "out") == [tmp_path / "out" / "model.safetensors"]
    with pytest.raises(FileExistsError, match="is not overwritten"):
        convert(source, source)
    with pytest.raises(ValueError, match="would be copied into itself"):
        convert(source, source / "safe")
    assert [path.name for path in source.iterdir()] == ["pytorch_model.bin"]


def test_an_interrupted_conversion_leaves_no_folder(tmp_path, tensors):
    source = tmp_path / "bin"
    source.mkdir()
    write_bin_shards(source, tensors)
    second = source / "pytorch_model-00002-of-00002.bin"
    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{second.name} is truncated"):
        convert(source, tmp_path / "safe")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_tensors_are_counted_by_use(tmp_path):
    names = [
        "model.norm.weight",
        "model.region_encoder.x",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "novel",
    ]
    save_file({name: torch.ones(1) for name in names}, tmp_path / "model.safetensors")
    assert summary(tmp_path) == {"used": 1, "ignored": 2, "unknown": 1}


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_files_are_named(tmp_path, tensors, share):
    write_bin_shards(tmp_path, tensors)
    for name in ("pytorch_model-00002-of-00002.bin", "model.safetensors"):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(tensors, path)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=f"{name} is truncated"):
            dict(read_checkpoint(tmp_path))


def test_files_with_code_in_them_are_refused_and_nothing_runs(tmp_path):
    torch.save({"a": MakesFolder(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than tensors"):
        dict(read_checkpoint(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_tables_that_are_not_flat_are_refused(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="flat table of tensors"):
        dict(read_checkpoint(tmp_path))


def test_incomplete_folders_are_named(tmp_path, tensors):
    with pytest.raises(FileNotFoundError, match="does not contain weights"):
        shard_paths(tmp_path)
    write_bin_shards(tmp_path, tensors)
    (tmp_path / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(FileNotFoundError, match="pytorch_model-00001-of-00002"):
        shard_paths(tmp_path)


def test_bad_indexes_are_refused(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text("[]")
    with pytest.raises(ValueError, match="not an index"):
        shard_paths(tmp_path)
    index.write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(ValueError, match="must be in the folder of their index"):
        shard_paths(tmp_path)


def test_a_name_in_two_files_is_refused(tmp_path):
    for i in (1, 2):
        save_file({"a": torch.ones(1), f"b{i}": torch.ones(1)}, tmp_path / f"{i}.safetensors")
    index = {"weight_map": {"b1": "1.safetensors", "b2": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"a is in two files: 1\.safetensors and 2\.safetensors"):
        dict(read_checkpoint(tmp_path))
