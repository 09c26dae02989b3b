"""What a checkpoint brings along does not change how a study asks a model that answers in words."""

import shutil
from copy import deepcopy

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    GenerationConfig,
    LlavaImageProcessor,
    SiglipImageProcessor,
)

from litelvlm import load_model, load_vlm
from litelvlm.analysis.studies.table import run_study
from litelvlm.models.base import TowerModel
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.prompts import QUESTIONS, question
from litelvlm.models.vlm.queries.pictures import preprocessing_of
from litelvlm.models.vlm.queries.towers import same_weights
from litelvlm.pruning import get_pruner

DTYPES = ("float32", "float16", "bfloat16")
FAST = {"random_seeds": 0, "pool": 12, "shifts": 12, "blobs": 2, "donors": 2}


@pytest.fixture(scope="module")
def halved(folders, tmp_path_factory):
    """The same model stored in float16, as published; its CLIP stays in float32."""
    out = tmp_path_factory.mktemp("half") / "llava"
    shutil.copytree(folders["llava"], out)
    load_vlm(folders["llava"], dtype="float16", device="cpu").network.save_pretrained(out)
    return out


@pytest.fixture
def model(models):
    return models["llava"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_in_half_precision_is_read_beside_its_clip_in_float32(halved, dtype):
    model = load_vlm(halved, dtype=dtype, device="cpu")
    assert isinstance(model, TowerModel)
    assert model.dtype == getattr(torch, dtype)


def test_a_tower_that_was_trained_on_is_refused_in_half_precision_too(halved, tmp_path):
    out = tmp_path / "tuned"
    shutil.copytree(halved, out)
    network = load_vlm(halved, dtype="float16", device="cpu").network
    tuned = next(
        p for name, p in network.named_parameters() if "vision_tower" in name and p.ndim == 2
    )
    with torch.no_grad():
        tuned[0, 0] += 0.01
    network.save_pretrained(out)
    for dtype in DTYPES:
        with pytest.raises(ValueError, match=r"1 of .* tensors differ"):
            load_vlm(out, dtype=dtype, device="cpu")


def test_weights_are_the_same_up_to_a_rounding_and_quantised_ones_only_if_equal():
    exact = torch.linspace(-1, 1, 33)
    assert same_weights(exact.half(), exact)
    assert same_weights(exact.half().bfloat16(), exact)
    assert not same_weights(exact.half() * 1.01, exact)
    assert not same_weights(exact[:5], exact)
    codes = torch.arange(4, dtype=torch.int8)
    assert same_weights(codes, codes)
    assert not same_weights(codes, exact[:4])


def test_generation_settings_of_a_checkpoint_change_no_answer(model, data):
    sample = data[0]
    plain = model.query(sample.image(), sample.expressions[0].sent).answered.answer
    network, stored = model.network, model.network.generation_config
    settings = deepcopy(stored).to_dict() | {
        "repetition_penalty": 50.0,
        "num_beams": 3,
        "no_repeat_ngram_size": 1,
        "suppress_tokens": plain.tolist(),
    }
    network.generation_config = given = GenerationConfig(**settings)
    try:
        asked = model.query(sample.image(), sample.expressions[0].sent)
        assert asked.answered.answer.tolist() == plain.tolist()
        assert network.generation_config is given
        ids = asked.answered.prompt.ids[None]
        inputs = {**asked.picture.arguments(ids), **asked.picture.tensors}
        own = network.generate(**inputs, max_new_tokens=8)[0, ids.shape[1] :]
        assert not set(own.tolist()) & set(plain.tolist())  # the settings do bind otherwise
        with greedy_decoding(network):
            assert network.generation_config.eos_token_id == stored.eos_token_id
            assert network.generation_config.num_beams in (None, 1)
        with pytest.raises(ValueError, match="template"), greedy_decoding(network):
            question("a cup", 9)
        assert network.generation_config is given
    finally:
        network.generation_config = stored


def test_clip_reads_the_question_that_the_model_is_asked(model, data, tmp_path, monkeypatch):
    read = []
    plain = model.tower.text

    def text(sentences):
        read.extend(sentences)
        return plain(sentences)

    monkeypatch.setattr(model.tower, "text", text)
    run_study("reversal", model, data, tmp_path, limit=1, question_index=2, **FAST)
    assert question(data[0].expressions[0].sent, 2) in read
    assert "Describe in one short sentence." in read
    assert not any("segment" in sentence for sentence in read)


@pytest.mark.parametrize(
    ("study", "field"),
    [
        ("reversal", "question_index"),
        ("sink", "question_index"),
        ("importance", "question_index"),
        ("importance", "second_template"),
        ("faithfulness", "question_index"),
    ],
)
def test_a_template_that_the_family_lacks_is_refused_before_any_row(
    study, field, model, data, tmp_path
):
    with pytest.raises(ValueError, match=rf"templates 0 to {len(QUESTIONS) - 1}"):
        run_study(study, model, data, tmp_path, limit=1, **{field: len(QUESTIONS)})
    with pytest.raises(ValueError, match="choose 0 to 15"):
        run_study(
            study, load_model("embedded", device="cpu"), data, tmp_path, limit=1, **{field: 16}
        )
    assert not list(tmp_path.iterdir())


def test_every_method_is_timed_on_the_same_work(model, data, monkeypatch):
    body = model.network.get_submodule("model")
    plain, given = body.forward, []

    def forward(*args, **options):
        given.append(options)
        return plain(*args, **options)

    monkeypatch.setattr(body, "forward", forward)
    picture, said = data[0].image(), [data[0].expressions[0].sent]
    for name in (None, "divprune", "fastv"):
        pruner = None if name is None else get_pruner(name)
        model.timed_call(picture, said, pruner, 72).prefill()
    assert [options["use_cache"] for options in given] == [False] * 3
    assert {type(options["mm_encoder_outputs"]) for options in given} == {dict}


def test_an_image_processor_is_repeated_or_refused():
    size = {"size": {"shortest_edge": 168}, "crop_size": {"height": 168, "width": 168}}
    square = {"size": {"height": 168, "width": 168}}
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 300, 3), np.uint8))
    for processor, rule in (
        (CLIPImageProcessor(**size), "shortest"),
        (LlavaImageProcessor(**size), "shortest"),
        (CLIPImageProcessor(do_pad=True, **size), "shortest"),  # that class never pads
        (CLIPImageProcessor(do_center_crop=False, **square), "squash"),
        (SiglipImageProcessor(**square), "squash"),
    ):
        ours = preprocessing_of(processor, 168)
        assert ours.resize == rule
        theirs = torch.as_tensor(processor(images=[picture], return_tensors="pt")["pixel_values"])
        torch.testing.assert_close(ours(picture, 168), theirs, rtol=0, atol=0.02)
    with pytest.raises(ValueError, match="do_pad is on"):
        preprocessing_of(LlavaImageProcessor(do_pad=True, **size), 168)
    for change, words in (
        ({"resample": 1}, "resample .* is neither bicubic"),
        ({"do_normalize": False}, "do_normalize is off"),
        ({"do_center_crop": False}, "a picture is not a square"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor .* is not 1/255"),
        ({"size": {"shortest_edge": 200}}, "size .* is not the 168 pixels"),
        ({"crop_size": {"height": 100, "width": 168}}, "crop_size .* is not the 168 pixels"),
    ):
        with pytest.raises(ValueError, match=words):
            preprocessing_of(CLIPImageProcessor(**{**size, **change}), 168)
