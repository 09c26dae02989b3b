"""What the plug-in for lmms-eval is made of, without lmms-eval: masks as answers, scores, names."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from litelvlm import load_model, load_refer
from litelvlm.analysis.lmms import generation, grounding, masks
from litelvlm.analysis.lmms.__main__ import TASK_FILES
from litelvlm.analysis.lmms.answers import QuestionSource
from litelvlm.analysis.lmms.generation import Generation, check_mask_options, generation_of
from litelvlm.metrics import intersection_union


@pytest.fixture
def mask():
    return np.random.default_rng(0).random((13, 9)) < 0.4


def test_a_mask_survives_the_answer(mask):
    assert np.array_equal(masks.read_mask(masks.mask_answer(mask), 13, 9), mask)
    assert not masks.read_mask("", 13, 9).any()
    assert not masks.read_mask('{"masks": []}', 13, 9).any()


@pytest.mark.parametrize(
    "answer",
    ["a dog", "[]", '{"masks": 3}', '{"masks": [1]}', '{"masks": [{}, {}]}', "{" * 10_000,
     '{"masks": [{"size": [9, 13], "counts": "0"}]}'],
)  # fmt: skip
def test_an_unreadable_answer_counts_as_an_empty_mask(mask, answer):
    with pytest.raises((ValueError, RecursionError)):
        masks.read_mask(answer, 13, 9)
    found = masks.count_answer(answer, mask.astype(np.uint8), "7")
    assert found == {
        "intersection": 0, "union": int(mask.sum()), "score": 0.0, "image_id": "7",
        "unreadable": True,
    }  # fmt: skip


def test_pixels_are_counted_by_the_official_rule(mask):
    target = mask.astype(np.uint8)
    target[0] = 255
    target[1, 0] = 2
    predicted = np.roll(mask, 1, axis=0)
    found = masks.count_answer(masks.mask_answer(predicted), target, "7")
    assert (found["intersection"], found["union"]) == intersection_union(predicted, target)
    assert found["score"] == found["intersection"] / found["union"]
    assert not found["unreadable"]
    assert masks.count_answer("", np.zeros_like(target), "7")["score"] == 1.0


def test_scores_of_a_split():
    counts = [(3, 4, "a"), (0, 4, "a"), (0, 0, "b"), (1, 2, "c")]
    pixels = [
        {"intersection": i, "union": u, "score": 0.0, "image_id": image, "unreadable": image == "c"}
        for i, u, image in counts
    ]
    found = masks.res_estimates(pixels)
    assert found["ciou"].value == pytest.approx(4 / 10)
    assert found["giou"].value == pytest.approx((0.75 + 0 + 1 + 0.5) / 4)
    assert found["p50"].value == 0.75
    assert found["p80"].value == 0.25
    assert found["unreadable"].value == 0.25
    assert all(e.low <= e.value <= e.high for e in found.values())


def test_answers_are_scored_by_the_rule_of_their_task():
    source = QuestionSource("pope")
    said = ["yes", "yes", "no", "no", "", "who knows"]
    rows = [source.scored(doc, one) for doc, one in zip(source.docs()[:6], said, strict=True)]
    found = source.estimates(rows)
    assert tuple(found)[-2:] == ("empty", "unreadable")
    assert set(source.metrics) <= set(found)
    assert found["empty"].value == found["unreadable"].value == pytest.approx(1 / 6)
    # Truths alternate: yes, no, yes, no, ...; by POPE's rule what is not a "no" counts as "yes".
    assert found["accuracy"].value == pytest.approx(3 / 6)
    assert found["yes_ratio"].value == pytest.approx(4 / 6)


def test_grounding_answers_come_in_the_order_of_the_requests():
    model, data = load_model("embedded", device="cpu"), load_refer("embedded", split="val")
    source = grounding.ExpressionSource("embedded")
    docs = [doc for doc in source.docs() if doc["index"] < 2]
    questions = [
        grounding.MaskRequest("val", doc["image_id"], source.picture(doc), source.prompt(doc))
        for doc in docs
    ]
    assert questions[0].image == data[0].image()
    found = grounding.ground_all(model, questions, None, None)
    assert len(found) == len(docs) > 6
    for place in (0, len(docs) - 1):
        own = model.segment(questions[place].image, questions[place].sentence).mask[0]
        height, width = own.shape
        assert np.array_equal(masks.read_mask(found[place], height, width), own)
    one_by_one = grounding.ground_all(model, iter(questions), None, None)
    assert one_by_one == found


def test_objects_without_a_pixel_are_left_out_and_counted(caplog):
    source = grounding.ExpressionSource("embedded")
    first = source.data[0]
    point = {i: replace(a, outline="[[5, 5, 5, 5, 5, 5]]") for i, a in first.annotations.items()}
    vars(source)["data"] = [replace(first, annotations=point), source.data[1]]
    assert {doc["index"] for doc in source.docs()} == {1}
    assert f"{len(first.expressions)} expressions are left out: target without an" in caplog.text


def test_an_answer_is_cut_at_the_first_stop():
    wanted = generation_of({"until": ["\n\n", "ASK", ""], "max_new_tokens": 8, "temperature": 0.0})
    assert wanted == Generation(8, ("\n\n", "ASK"))
    assert wanted.cut("red ASK blue\n\nASK") == "red"
    assert wanted.cut("red") == "red"
    assert generation_of({}) == Generation(16, ())
    assert generation_of({"until": "."}).cut("a dog. It runs.") == "a dog"


@pytest.mark.parametrize(
    "options",
    [{"do_sample": True}, {"temperature": 0.7}, {"num_beams": 5, "do_sample": False},
     {"until": 3}, {"until": [3]}, {"max_new_tokens": 0}, {"max_new_tokens": "long"}],
)  # fmt: skip
def test_options_that_cannot_be_honoured_are_refused(options):
    with pytest.raises(ValueError, match=r"greedy here|until is|max_new_tokens is"):
        generation_of(options)
    assert generation_of({"do_sample": False, "temperature": 0.7, "num_beams": 1})


def test_options_that_change_nothing_here_are_named_once(caplog):
    generation._tell_once.cache_clear()
    for _ in range(2):
        generation_of({"image_aspect_ratio": "original", "top_p": 1.0})
        check_mask_options({"repetition_penalty": 1.1, "until": ["x"], "max_new_tokens": 4})
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "a request does not set max_new_tokens; its answer ends after 16 tokens",
        "the generation option image_aspect_ratio='original' is not known here and is left out",
        "the generation option repetition_penalty=1.1 does not apply to a mask",
    ]
    with pytest.raises(ValueError, match="greedy here"):
        check_mask_options({"do_sample": True})


def test_data_of_the_user_are_named_by_the_environment(monkeypatch):
    monkeypatch.delenv(grounding.REFER, raising=False)
    with pytest.raises(ValueError, match=grounding.REFER):
        grounding.ExpressionSource(dataset="refcoco").docs()


def test_every_task_file_names_a_source():
    found = {}
    for file in sorted(TASK_FILES.glob("*.yaml")):
        config = yaml.safe_load(file.read_text().replace("!function ", ""))
        assert config.pop("class") == "classes.LocalTask"
        assert config.pop("task") == file.stem
        found[file.stem] = config
    for name in ("gqa", "pope", "vqav2"):
        assert QuestionSource(**{"task": found.pop(f"embedded_{name}")["questions"]}).docs()
    places = [grounding.ExpressionSource(**one["expressions"]).place for one in found.values()]
    assert len(places) == len(set(places)) == 9
    for name, (root, dataset, split) in zip(found, places, strict=True):
        assert name == "embedded_res" if root else (
            f"{dataset.replace('+', 'plus')}_res_{split}" == name
        )  # fmt: skip
