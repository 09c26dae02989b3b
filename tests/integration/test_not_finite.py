"""A model with NaN or infinite numbers gives an error that names the place, never a result."""

import copy
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import read_record, run_study
from litelvlm.finite import NotFiniteError, require_finite, require_finite_weights
from litelvlm.models.base import Request
from tests.glamm_parts import EMBEDDED
from tests.warm import run_python


@pytest.fixture
def broken(request):
    """A private copy of the miniature, to be damaged."""
    return copy.deepcopy(load_model("embedded"))


def damage(model, part):
    """Put one infinity or NaN into a part of a loaded model."""
    parts = {
        "projector": lambda: model.projector[0].weight,
        "llama": lambda: model.llama.model.layers[1].mlp.up_proj.weight,
        "seg_head": lambda: model.seg_head[0].weight,
        "sam": lambda: model.sam.vision_encoder.layers[0].mlp.lin1.weight,
        "clip": lambda: model.tower.clip.vision_model.encoder.layers[0].mlp.fc1.weight,
        "clip text": lambda: model.tower.clip.text_projection.weight,
    }
    with torch.no_grad():
        parts[part]().flatten()[0] = float("nan") if part in ("llama", "seg_head") else float("inf")


PLACES = {
    "projector": r"state for \[SEG\]",
    "llama": r"state for \[SEG\]",
    "seg_head": "mask logits",
    "sam": "SAM's image embedding",
    "clip": "CLIP's state of the image",
}


@pytest.mark.parametrize(("part", "place"), PLACES.items())
def test_segment_names_the_stage(broken, sample, part, place):
    damage(broken, part)
    with pytest.raises(NotFiniteError, match=place):
        broken.segment(sample.image(), "the red circle")


@pytest.mark.parametrize("part", ["projector", "seg_head"])
def test_the_batched_path_names_the_same_stage(broken, sample, part):
    damage(broken, part)
    state = broken.encode_image(sample.image())
    requests = [Request(broken.conversation(["the red circle"]), None)] * 2
    with pytest.raises(NotFiniteError, match=PLACES[part]):
        list(broken.grounder(4)(state, requests))


def test_a_text_that_has_no_finite_embedding_is_refused(broken):
    damage(broken, "clip text")
    with pytest.raises(NotFiniteError, match="CLIP's text embedding"):
        broken.tower.text(["a circle"])


def test_a_study_counts_the_samples_as_failed_with_their_stage(broken, tmp_path):
    damage(broken, "projector")
    data = load_refer("embedded", split="val")
    options = {"methods": ("uniform",), "budgets": (48,), "limit": 2}
    with pytest.raises(RuntimeError, match="no sample succeeded"):
        run_study("sweep", broken, data, tmp_path, **options)
    (folder,) = tmp_path.iterdir()
    record = read_record(folder)
    assert (record.state, record.counts.done) == ("failed", 0)
    for index in (0, 1):
        name = f"image {index} (id {data[index].image_id})"
        start = f"{name}: NotFiniteError: the language model's state for [SEG]"
        assert any(text.startswith(start) for text in record.failures)


def with_value(folder, file, value):
    """The bundled checkpoint with one number of one file replaced."""
    shutil.copytree(EMBEDDED["embedded"], folder)
    path = folder / file
    tensors = load_file(path)
    name = sorted(name for name in tensors if tensors[name].is_floating_point())[0]
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = value
    save_file(tensors, path, metadata={"format": "pt"})
    return name


@pytest.mark.parametrize("file", ["model.safetensors", "clip/model.safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_with_such_a_weight_is_not_loaded(tmp_path, file, value):
    name = with_value(tmp_path / "model", file, value)
    with pytest.raises(NotFiniteError, match=name.replace(".", r"\.")):
        load_model(tmp_path / "model")


def test_a_weight_that_overflows_the_number_type_is_not_loaded(tmp_path):
    with_value(tmp_path / "model", "model.safetensors", 1e30)
    with pytest.raises(NotFiniteError, match=r"in torch\.float16"):
        load_model(tmp_path / "model", dtype="float16")


def test_the_command_fails_in_one_line(tmp_path, sample):
    with_value(tmp_path / "model", "model.safetensors", float("nan"))
    sample.image().save(tmp_path / "a.png")
    command = ["-m", "litelvlm.analysis", "segment", tmp_path / "a.png", "circle"]
    options = ["--model", tmp_path / "model", "--out", tmp_path / "mask.png"]
    done = run_python([*command, *options])
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "NaN or infinite" in done.stderr
    assert not (tmp_path / "mask.png").exists()


def test_whole_numbers_pass_and_the_count_is_told():
    assert require_finite(torch.tensor([1, 2]), "counts").tolist() == [1, 2]
    with pytest.raises(NotFiniteError, match="places has 2 of 3 numbers"):
        require_finite(torch.tensor([1.0, float("nan"), float("-inf")]), "places")
    layer = torch.nn.Linear(2, 1)
    assert require_finite_weights(layer, "a layer") is layer
