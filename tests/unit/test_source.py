"""Where a model's files are.

Nothing is fetched unasked, everything that counts is in the digest, and missing parts are named.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import LlamaConfig, Phi3Config, Qwen2_5_VLTextConfig

from litelvlm.models.clip_files import clip_source
from litelvlm.models.configs import rotation
from litelvlm.models.files import EMBEDDED, digest
from litelvlm.models.glamm.checkpoints.config import (
    check_config,
    full_config,
    llama_config,
    read_config,
)
from litelvlm.models.glamm.checkpoints.inventory import inventory
from litelvlm.models.glamm.checkpoints.source import locate, named_clip

GLAMM = Path(__file__).parents[1] / "fixtures" / "parity" / "glamm"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(EMBEDDED["embedded"], tmp_path / "model")
    return tmp_path / "model"


def test_the_digest_covers_every_file_that_counts(folder):
    before = digest(folder)
    assert before == digest(EMBEDDED["embedded"])
    seen = {before}
    for name in (
        "config.json",
        "tokenizer.model",
        "added_tokens.json",
        "model.safetensors",
        "clip/config.json",
        "clip/model.safetensors",
        "clip/tokenizer.json",
    ):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        seen.add(digest(folder))
        (folder / name).write_bytes(content)
    assert len(seen) == 8
    (folder / "README.md").write_text("prose does not count")
    assert digest(folder) == before


def test_a_clip_elsewhere_is_part_of_the_digest(folder, tmp_path):
    shutil.move(folder / "clip", tmp_path / "clip")
    (folder / "link").symlink_to(tmp_path / "clip")
    places = (tmp_path / "clip", folder / ".." / "clip", folder / "link")
    (first,) = {digest(folder, place) for place in places}
    (tmp_path / "clip" / "config.json").write_text("{}")
    assert all(digest(folder, place) != first for place in places)


def test_a_local_folder_never_fetches_its_clip(folder, monkeypatch):
    calls = []

    def fetch(name, **options):
        calls.append(options)
        raise LocalEntryNotFoundError("no local copy")

    monkeypatch.setattr("litelvlm.data.safe.hub_copies.snapshot_download", fetch)
    config = {**read_config(folder), "mm_vision_tower": "openai/clip-vit-large-patch14-336"}
    assert clip_source(folder, named_clip(config)).folder == folder / "clip"
    shutil.rmtree(folder / "clip")
    with pytest.raises(
        FileNotFoundError,
        match=r"hf download openai/.* or name a folder or hub id .clip= in Python",
    ):
        clip_source(folder, named_clip(config))
    with pytest.raises(FileNotFoundError, match=r"hf download someone/other-clip` once"):
        clip_source(folder, "someone/other-clip")
    assert [call["local_files_only"] for call in calls] == [True, True]
    with pytest.raises(FileNotFoundError, match="cannot be fetched"):
        clip_source(folder, named_clip(config), clip="openai/clip-vit-large-patch14-336")
    assert calls[-1]["local_files_only"] is False


def test_a_revision_is_passed_on_and_the_commit_comes_back(tmp_path, monkeypatch):
    snapshot = tmp_path / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    asked = {}

    def fetch(name, **options):
        asked.update(options, name=name)
        return str(snapshot)

    monkeypatch.setattr("litelvlm.data.safe.hub_copies.snapshot_download", fetch)
    source = locate("someone/model", revision="v1")
    assert (asked["name"], asked["revision"]) == ("someone/model", "v1")
    assert source == (snapshot, "a" * 40)
    with pytest.raises(ValueError, match="is a folder"):
        locate(tmp_path, revision="v1")


@pytest.mark.parametrize("name", ["embeded", "no/such/folder", "./nothing", "a/"])
def test_names_that_stand_for_nothing(name):
    with pytest.raises(ValueError, match="unknown model"):
        locate(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mm_hidden_size": None}, "lacks mm_hidden_size"),
        ({"rms_norm_eps": None, "vocab_size": None}, "lacks vocab_size, rms_norm_eps"),
        ({"hidden_size": "4096"}, "hidden_size='4096' .allowed: whole numbers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0"),
        ({"num_attention_heads": 5}, "not a multiple of num_attention_heads 5"),
        ({"mm_vision_select_layer": -1}, r"mm_vision_select_layer=-1 \(known: -2\)"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps='small' .allowed: numbers"),
        (
            {"rope_scaling": {"type": "linear", "factor": 4.0}},
            r"rope_scaling=.*'linear'.*scaled .* \(known: rope_theta\)",
        ),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}},
            r"rope_parameters=.*'linear'.*scaled .* \(known: rope_theta\)",
        ),
        ({"hidden_act": "gelu"}, r"hidden_act='gelu' \(known: 'silu'\)"),
    ],
)
def test_impossible_configurations_are_explained(change, message):
    config = {k: v for k, v in {**full_config(), **change}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        check_config(config, "config.json")


@pytest.mark.parametrize("kind", [LlamaConfig, Phi3Config, Qwen2_5_VLTextConfig])
def test_what_transformers_writes_of_a_rotation_is_read_again(kind):
    saved = json.loads(kind(rope_theta=5e5).to_json_string())
    assert rotation(saved, "config.json") == {"rope_theta": 5e5}
    part = saved | {"rope_parameters": saved["rope_parameters"] | {"partial_rotary_factor": 0.5}}
    for partial in (part, {"partial_rotary_factor": 0.5}):
        with pytest.raises(ValueError, match=r"partial_rotary_factor.*0\.5"):
            rotation(partial, "config.json")


def test_a_rotation_in_the_new_spelling_reaches_the_language_model():
    config = {k: v for k, v in full_config().items() if k != "rope_theta"}
    turned = config | {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}
    check_config(turned, "config.json")
    assert llama_config(turned).rope_parameters["rope_theta"] == 5e5


def test_inventory_of_a_whole_and_of_a_broken_folder(folder):
    parts = inventory(folder)
    assert [part.name for part in parts] == ["files", "config", "tokenizer", "weights", "CLIP"]
    assert all(part.found for part in parts)
    (folder / "model.safetensors").unlink()
    (folder / "tokenizer.model").write_bytes(b"x")
    shutil.rmtree(folder / "clip")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "mm_vision_tower": "openai/clip"}))
    found = {part.name: part for part in inventory(folder)}
    assert [name for name, part in found.items() if not part.found] == [
        "tokenizer",
        "weights",
        "CLIP",
    ]
    assert "hf download" in found["weights"].text
    assert "hf download" in found["CLIP"].text
    (only,) = inventory("someone/nothing")
    assert "hf download someone/nothing" in only.text


@pytest.mark.parametrize("part", ["weights", "CLIP"])
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_inventory_reports_truncated_weights(folder, part, form):
    path = (folder if part == "weights" else folder / "clip") / "model.safetensors"
    if form == "bin":
        path.unlink()
        path = path.with_name("pytorch_model.bin")
        torch.save({"some.weight": torch.zeros(10_000)}, path)
        assert all(found for _, found, _ in inventory(folder))
    path.write_bytes(path.read_bytes()[:-1000])
    found = {name: text for name, here, text in inventory(folder) if not here}
    assert list(found) == [part]
    assert "is truncated" in found[part]
