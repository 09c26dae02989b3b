"""The miniature LLaVA that writes boxes: its weights, its training, and `evaluate --task rec`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from litelvlm import load_model, load_vlm
from litelvlm.analysis.cli import main
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.analysis.studies.understanding.evaluate import evaluate_questions
from litelvlm.metrics.boxes import box_iou, read_box
from litelvlm.models.vlm.boxes import BOX_HABITS
from litelvlm.models.vlm.load import miniature
from litelvlm.models.vlm.miniature import BOXES, save_miniature, vision_of
from litelvlm.training.llava.box_train import BoxRecipe, answer_losses, first_weights, train
from litelvlm.training.llava.boxes import NUMBERS, STEPS, box_tokenizer, written
from litelvlm.training.llava.sizes import as_llava, llava_config
from litelvlm.training.loop import Stage
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

CARD = (Path(__file__).parents[2] / "litelvlm/embedded/cards/llava_boxes.md").read_text()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vlm():
    return load_vlm("vlm:embedded-boxes", device="cpu")


def test_the_card_is_about_the_stored_weights(vlm):
    assert vlm.digest in CARD
    assert sum(path.stat().st_size for path in BOXES.glob("*")) < 8e6


def test_it_writes_boxes_as_its_family_does_and_sees_the_picture(vlm, data, tmp_path):
    run = evaluate_questions(vlm, data, out=tmp_path, limit=12)
    scores = run.table("scores").set_index(["method", "metric"])["value"]
    assert scores["none", "mean IoU"] > 0.2
    assert scores["none", "mean IoU"] > scores["blank image", "mean IoU"] + 0.1
    assert run.rows["state"].eq("read").mean() > 0.9
    assert all(one[0] == "[" and one.count(",") == 3 for one in run.rows["answer"])


def test_the_command_compares_both_ends_of_a_ranking_at_two_positions(data, tmp_path, capsys):
    words = ["evaluate", "--task", "rec", "--model", "vlm:embedded-boxes", "--budgets", "48", "16"]
    words += ["--methods", "fastervlm", "random", "uniform", "--opposites", "--seeds", "1"]
    words += ["--positions", "contiguous", "original", "--limit", "1", "--out", str(tmp_path)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["task"], told["data"]) == ("rec", f"{data.name} val")
    assert any(BOX_HABITS["llava"].prompt in note and "0-1" in note for note in told["notes"])
    lines = pd.DataFrame(told["scores"])
    asked = {(one.method.split("(")[0], one.positions, one.budget) for one in lines.itertuples()
             if one.positions}  # fmt: skip
    names, places = ("fastervlm", "reverse", "random", "uniform"), ("contiguous", "original")
    assert asked == {(n, p, b) for n in names for p in places for b in (48.0, 16.0)}
    assert lines.loc[lines["budget"] == 16, "visual_tokens"].eq(16).all()
    rows = read_rows(told["run"])
    assert set(rows["positions"]) == {"", *places}
    for line in lines[lines["metric"] == "accuracy@0.5"].itertuples():
        part = rows[rows["method"] == line.method]
        part = part[
            part["budget"].isna() if pd.isna(line.budget) else part["budget"] == line.budget
        ]
        assert line.value == pytest.approx((part["score"] >= 0.5).mean())
        assert line.unreadable == (part["state"] != "read").sum()
    read = rows[rows["state"] == "read"]
    found = [
        box_iou(read_box(a), read_box(b)) for a, b in zip(read["read"], read["truth"], strict=True)
    ]
    assert np.allclose(found, read["score"], atol=0.02)  # tenths of a pixel are written
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.index("accuracy@0.5 ") < said.index("mean IoU ") < said.index("accuracy@0.5: ")
    assert "unreadable" in said


def test_positions_and_the_padded_square_reach_the_model(vlm, data, tmp_path):
    given = {"methods": ["uniform"], "budgets": [36], "limit": 2, "blank": False, "out": tmp_path}
    rows = evaluate_questions(vlm, data, positions=["contiguous", "original"], **given).rows
    answers = rows.pivot(index="question_id", columns="method", values="answer")
    assert (
        answers["uniform(positions=contiguous)"] != answers["uniform(positions=original)"]
    ).any()
    padded = evaluate_questions(replace(vlm, pad=True), data, **given).rows
    assert padded["seen"].eq(1).all()
    assert len(padded) < len(rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt", "where?"], "0 places {}"),
        (["--positions", "stretch", "--methods", "random(positions=original)"], "given twice"),
        (["--protocol", "conversation"], "--protocol belongs to masks"),
        (["--dataset", "refcoco+"], "dataset"),
        (["--box-format", "pixels"], "'pixels' needs the size"),
    ],
)
def test_what_does_not_go_together_is_refused(words, message, tmp_path, capsys):
    start = ["evaluate", "--task", "rec", "--model", "vlm:embedded-boxes", "--out", str(tmp_path)]
    assert main([*start, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--opposites"], ["--prompt", "{}"], ["--box-format", "0-1"], ["--pad"]]
)
def test_options_of_answers_are_refused_where_masks_are_asked_for(words, capsys):
    assert main(["evaluate", *words]) == 2
    assert f"{words[0]} belongs to answers" in capsys.readouterr().err


def test_a_format_of_boxes_is_refused_where_words_are_the_answer(vlm, tmp_path):
    with pytest.raises(ValueError, match="box_format belongs to task rec"):
        evaluate_questions(vlm, "gqa", out=tmp_path, box_format="0-1")


def test_numbers_are_single_tokens_and_a_box_is_four_of_them():
    tokenizer = box_tokenizer()
    text = written((0.1, 0.253, 0.5, 1.0))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    assert tokenizer.decode(ids) == text
    assert tokenizer.convert_tokens_to_ids(NUMBERS[-1]) == len(tokenizer) - 1


def test_the_distance_is_between_the_mean_number_and_the_true_one():
    first, n = 5, STEPS + 1
    logits = torch.full((2, first + 3 * n), -20.0)
    logits[0, first + n + 10] = logits[0, first + n + 20] = 20.0  # 0.40 or 0.80 in the middle
    logits[1, 2] = 20.0  # a word
    answer, distance = answer_losses(logits, torch.tensor([first + n + 10, 2]), first)
    assert distance == pytest.approx(0.2, abs=1e-4)
    assert answer == pytest.approx(np.log(2) / 2, abs=1e-3)


def test_boxes_of_training_are_those_of_the_objects(tmp_path):
    pool = ScenePool(tmp_path, get_world("pictograms"), 3)
    for index in range(3):
        boxes, coverage = pool.boxes(index), pool.coverage(index)
        for number, box in enumerate(boxes):
            cells = coverage[:, number].reshape(12, 12) > 0.05
            assert cells.any() == np.isfinite(box).all()
            if cells.any():
                rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
                edges = columns[0] / 12, rows[0] / 12, (columns[-1] + 1) / 12, (rows[-1] + 1) / 12
                assert np.allclose(box, edges, atol=0.1)


def test_training_gives_the_same_weights_again_and_exports(tmp_path):
    glamm = load_model("embedded", dtype="float32", device="cpu")
    pool = ScenePool(tmp_path / "scenes", get_world("pictograms"), 4)
    stage = Stage("boxes", steps=2, batch=2, lr=1e-3, warmup=1, save_every=1, autocast=False)
    recipe = BoxRecipe(scenes=4, expressions=3, stage=stage)
    whole, tokenizer = train(recipe, glamm, pool, tmp_path / "whole", 0, CPU)
    again, _ = train(recipe, glamm, pool, tmp_path / "again", 0, CPU)
    config = llava_config(tokenizer, vision_of(glamm.tower.clip.config))
    start = first_weights(glamm, tokenizer, config, 0).state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        assert not torch.equal(value, start[name]), name
    with pytest.raises(ValueError, match="another recipe"):
        train(replace(recipe, expressions=2), glamm, pool, tmp_path / "whole", 0, CPU)
    save_miniature(tmp_path / "out", as_llava(whole, config, glamm.tower), tokenizer)
    read = miniature("mine", tmp_path / "out", CPU)
    assert "provides an overview of the picture" in read.prompter.text("the dog")
