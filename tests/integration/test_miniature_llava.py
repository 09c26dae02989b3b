"""The miniature LLaVA: stored parts, real answers, pruning that costs answers, and its training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from litelvlm import get_pruner, load_model, load_vlm, prune
from litelvlm.analysis.cli import main
from litelvlm.analysis.studies.understanding import STUDY
from litelvlm.analysis.studies.understanding.evaluate import evaluate_questions
from litelvlm.clip.load import load_tower
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.models.vlm.load import miniature
from litelvlm.models.vlm.miniature import CLIP, LLAVA, assemble, save_miniature, vision_of
from litelvlm.models.vlm.model import padded
from litelvlm.training.llava.sizes import as_llava, llava_config
from litelvlm.training.llava.train import LlavaRecipe, train
from litelvlm.training.loop import Stage
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

CARDS = Path(__file__).parents[2] / "litelvlm" / "embedded" / "cards"
CARD_TEXT = (CARDS / "llava.md").read_text()


@pytest.fixture(scope="module")
def vlm():
    return load_vlm("vlm:embedded", device="cpu")


def test_clip_is_stored_once_and_the_rest_is_small(vlm):
    file = LLAVA / "model.safetensors"
    assert sum(path.stat().st_size for path in LLAVA.glob("*")) < 20e6
    with safe_open(file, "pt") as stored:
        assert not any("vision" in name for name in stored.keys())  # noqa: SIM118
    clip = load_tower(CLIP, dtype="float32", device="cpu").clip.vision_model.state_dict()
    own = vlm.network.model.vision_tower.state_dict()
    assert len(own) == len(clip)
    for name, value in own.items():
        assert torch.equal(value, clip[name.removeprefix("vision_model.")])


def test_the_card_is_about_the_stored_weights(vlm):
    assert vlm.digest in CARD_TEXT


def test_the_stored_model_gives_what_its_card_says(vlm):
    questions = load_questions("gqa").questions[:70]
    right = {False: 0.0, True: 0.0}
    for question in questions:
        picture = question.open()
        for blank in right:
            shown = Image.new("RGB", picture.size, (127, 127, 127)) if blank else picture
            said = vlm.answer(shown, question.prompt)
            assert said.visual_tokens == 144
            right[blank] += said.text == question.answer
    assert right[False] / len(questions) > 0.6
    assert right[True] / len(questions) < 0.45


def test_the_door_prunes_it_as_any_other_model(vlm):
    question = load_questions("gqa").questions[0]
    inputs = vlm.inputs(question.open(), question.text)
    ids = vlm.network.generate(**inputs, max_new_tokens=4, do_sample=False)
    with prune(vlm.network, get_pruner("random"), 144):
        handed_back = vlm.network.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert torch.equal(ids, handed_back)
    found = vlm.answer(question.open(), question.text, get_pruner("litelvlm"), 16)
    assert found.visual_tokens == 16
    assert vlm.answer(question.open(), question.text, get_pruner("fastv"), 48).visual_tokens == 48
    with pytest.raises(ValueError, match="belong together"):
        vlm.answer(question.open(), question.text, get_pruner("random"))


def test_the_question_guides_methods_that_read_clips_text(vlm):
    question = load_questions("gqa").questions[0]
    inputs = vlm.inputs(question.open(), question.text)
    kept = []
    for text in ("the dog", "the airplane"):
        with prune(vlm.network, get_pruner("litelvlm"), 16, clip=vlm.tower, text=text) as pruned:
            vlm.network.generate(**inputs, max_new_tokens=1, do_sample=False)
            kept.append(torch.cat([columns.flatten() for columns in pruned.last.prompt.columns]))
    assert not torch.equal(kept[0], kept[1])


def test_missing_and_damaged_weights_are_refused(vlm):
    tower = load_tower(CLIP, dtype="float32", device="cpu")
    config = vlm.network.config
    state = {n: v for n, v in vlm.network.state_dict().items() if "vision_tower" not in n}
    with pytest.raises(ValueError, match=r"lm_head\.weight"):
        assemble(config, {n: v for n, v in state.items() if n != "lm_head.weight"}, tower)
    damaged = state | {"lm_head.weight": torch.full_like(state["lm_head.weight"], torch.nan)}
    with pytest.raises(ValueError, match=r"NaN|finite"):
        assemble(config, damaged, tower)
    with pytest.raises(ValueError, match="unknown model"):
        load_vlm("embeded")


def test_an_evaluation_goes_on_where_it_stopped(vlm, tmp_path):
    given = {"methods": ["random"], "budgets": [8], "draws": 1, "limit": 10, "out": tmp_path}
    first = evaluate_questions(vlm, "vqav2", **given)
    parts = sorted(first.folder.glob("rows/*.parquet"))
    assert len(parts) == 2
    before = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    again = evaluate_questions(vlm, "vqav2", **given)
    assert again.folder == first.folder
    assert parts[0].stat().st_mtime_ns == before
    assert again.rows.equals(first.rows)
    assert set(again.table("scores")["method"]) == {"none", "blank image", "random"}
    assert evaluate_questions(vlm, "vqav2", **{**given, "budgets": [9]}).folder != first.folder


def test_a_run_is_known_by_its_model_and_its_questions(vlm, tmp_path):
    given = {"limit": 1, "out": tmp_path, "blank": False}
    run = evaluate_questions(vlm, "gqa", **given)
    folder = run.folder
    assert run.record.state == "partial"
    assert run.record.data["name"] == "gqa"
    assert (run.record.model["digest"], run.record.model["family"]) == (vlm.digest, "miniature")
    assert run.summary.study == "understanding"
    assert [column.name for column in STUDY.columns] == list(run.rows)
    for other in (
        replace(vlm, pad=True),
        load_vlm("vlm:embedded", clip="none", device="cpu"),
        replace(vlm, digest="other"),
    ):
        assert evaluate_questions(other, "gqa", **given).folder != folder


def test_a_method_that_cannot_work_is_told_with_its_reason(vlm, tmp_path):
    run = evaluate_questions(vlm, "gqa", ["tome"], [8], tmp_path, limit=1, blank=False)
    (excluded,) = run.record.excluded
    assert (excluded.method, excluded.budget) == ("tome", 8)
    assert "image tower" in excluded.reason
    assert set(run.rows["method"]) == {"none"}


def test_a_budget_that_does_not_fit_a_picture_fails_alone_and_says_why(vlm, tmp_path, monkeypatch):
    monkeypatch.setattr(type(vlm), "fixed_tokens", None)
    run = evaluate_questions(vlm, "gqa", ["random"], [200], tmp_path, limit=1, draws=1)
    (line,) = run.table("failures").to_dict("records")
    assert (line["method"], line["budget"]) == ("random", 200)
    assert line["questions"] == len(run.rows) / 3
    assert "144" in line["reason"]


def test_a_damaged_picture_fails_alone_and_says_why(vlm, tmp_path):
    whole = load_questions("gqa")
    whole = replace(whole, questions=whole.questions[:10])
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(whole.questions[0].image.read_bytes()[:200])
    first = whole.questions[0].image_id
    questions = tuple(
        replace(one, image=damaged) if one.image_id == first else one for one in whole.questions
    )
    run = evaluate_questions(vlm, replace(whole, questions=questions), out=tmp_path, blank=False)
    assert "damaged.png" in run.record.failures[0]
    assert set(run.rows["image_id"]) == {one.image_id for one in questions} - {first}


def test_the_command_prints_scores_and_refuses_what_does_not_belong(tmp_path, capsys):
    words = ["evaluate", "--task", "pope", "--model", "vlm:embedded", "--budgets", "8"]
    words += ["--methods", "random", "tome", "--seeds", "1", "--limit", "1", "--out", str(tmp_path)]
    assert main([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == "pope"
    assert {"f1", "yes_ratio"} <= {line["metric"] for line in told["scores"]}
    assert [failure[:7] for failure in told["failures"]] == ["tome 8:"]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "failed: tome 8: tome works inside CLIP's image tower" in said
    assert said.index(" f1 ") < said.index(" accuracy ")
    words.remove("tome")
    assert main(words) == 0
    assert "failed" not in capsys.readouterr().out
    for option, whose in (
        (["--protocol", "conversation"], "masks"),
        (["--cache", "folder"], "masks"),
        (["--data", "folder"], "referring expressions"),
    ):
        assert main([*words, *option]) == 2
        assert f"{option[0]} belongs to {whose}" in capsys.readouterr().err
    assert main([word.removeprefix("vlm:") for word in words]) == 2
    assert "take vlm:embedded" in capsys.readouterr().err
    assert main(["evaluate", "--task", "textvqa"]) == 2
    assert (
        "choose of gqa, pope, vqav2, rec; published question-answering" in capsys.readouterr().err
    )


def test_training_gives_the_same_weights_again_and_exports(tmp_path, vlm):
    glamm = load_model("embedded", dtype="float32", device="cpu")
    pool = ScenePool(tmp_path / "scenes", get_world("pictograms"), 4)
    stage = Stage("answers", steps=3, batch=2, lr=1e-3, warmup=1, save_every=1, autocast=False)
    recipe, cpu = LlavaRecipe(scenes=4, questions=6, stage=stage), torch.device("cpu")
    whole, tokenizer = train(recipe, glamm, pool, tmp_path / "whole", 0, cpu)
    again, _ = train(recipe, glamm, pool, tmp_path / "again", 0, cpu)
    for (name, one), (_, other) in zip(
        whole.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
    with pytest.raises(ValueError, match="another recipe"):
        train(replace(recipe, questions=5), glamm, pool, tmp_path / "whole", 0, cpu)
    model = as_llava(
        whole, llava_config(tokenizer, vision_of(glamm.tower.clip.config)), glamm.tower
    )
    save_miniature(tmp_path / "out", model, tokenizer)
    read = miniature("mine", tmp_path / "out", cpu)
    assert read.digest != vlm.digest
    question = load_questions("gqa").questions[0]
    assert read.answer(question.open(), question.text).visual_tokens == 144


def test_padding_keeps_the_whole_picture():
    wide = padded(Image.new("RGB", (8, 4), "red"))
    assert wide.size == (8, 8)
    assert wide.getpixel((0, 0)) == (122, 116, 104)
    assert wide.getpixel((0, 4)) == (255, 0, 0)
