"""Whether a model is a miniature is read off its sizes: a name or a folder can be anything."""

import shutil

import pytest
from transformers import CLIPModel

from litelvlm import load_model
from litelvlm.analysis.pages.demo import note
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.origin.provenance import model_identity
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.clip.hf import ClipTower
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.training.glamm.sizes import clip_config
from tests.glamm_parts import EMBEDDED


@pytest.mark.parametrize("random_init", [False, True], ids=["trained", "random"])
def test_a_copied_miniature_is_still_one(tmp_path, random_init):
    folder = shutil.copytree(EMBEDDED["embedded"], tmp_path / "ours-13b")
    copy = load_model(folder, device="cpu", dtype="float32", random_init=random_init)
    identity = model_identity(copy)
    assert identity["name"].startswith("ours-13b") or ".../ours-13b" in identity["name"]
    assert is_miniature(RunRecord.model_construct(model=identity))
    assert "rendered scenes only" in note(copy)


@pytest.mark.parametrize(
    ("tower", "field"), [("vision_config", "num_hidden_layers"), ("text_config", "hidden_size")]
)
def test_other_sizes_under_its_name_are_not(model, tower, field):
    config = clip_config(64)
    setattr(getattr(config, tower), field, 2 * getattr(getattr(config, tower), field))
    assert has_miniature_sizes(model.tower)
    assert not has_miniature_sizes(ClipTower(CLIPModel(config), model.tower.tokenizer))
    assert not has_miniature_sizes(None)
