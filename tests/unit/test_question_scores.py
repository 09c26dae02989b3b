"""Answers in words: reading them, and the scores of a task with intervals over images."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.lmms.answers import QuestionSource
from litelvlm.analysis.studies.understanding.scores import scores_of
from litelvlm.data.understanding import rendered
from litelvlm.data.understanding.question import Question, QuestionSet
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.metrics.answers import read_yes_no, score_answer


@pytest.mark.parametrize(
    ("rule", "said", "truth", "expected"),
    [
        ("exact", " Left. ", "left", ("Left.", 1.0, "read")),
        ("exact", "the left", "left", ("the left", 0.0, "read")),
        ("exact", "  ", "left", ("", 0.0, "empty")),
        ("yes_no", "Yes, there is.", "yes", ("yes", 1.0, "read")),
        ("yes_no", "who knows", "yes", ("yes", 1.0, "unreadable")),
        ("yes_no", "who knows", "no", ("yes", 0.0, "unreadable")),
        ("yes_no", "", "yes", ("yes", 1.0, "empty")),
    ],
)
def test_an_answer_is_scored_by_its_rule(rule, said, truth, expected):
    assert score_answer(rule, said, truth) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, there is.", ("yes", True)),
        ("No", ("no", True)),
        ("No, there is none.", ("no", True)),
        ("There is not a dog", ("no", True)),
        ("I see none", ("yes", False)),
        ("NO", ("yes", False)),
        ("Well. No.", ("yes", False)),
        ("yes, not no", ("no", True)),
        ("", ("yes", False)),
    ],
)
def test_a_yes_or_no_is_read_from_the_first_sentence_by_the_published_rule(text, expected):
    assert read_yes_no(text) == expected


@pytest.mark.parametrize("said", [None, 1, ["left"], b"left"])
def test_what_is_no_text_is_no_answer(said):
    with pytest.raises(ValueError, match="expected text"):
        score_answer("exact", said, "left")


WRONG = {
    "a null answer": ({"answer": None}, "question '2': answer is None, expected text"),
    "an empty answer": ({"answer": " "}, "question '2': answer is ' ', expected text"),
    "a number": ({"text": 3}, "question '2': text is 3, expected text"),
    "no image": ({"image_id": ""}, "question '2': image_id is ''"),
    "another answer": ({"answer": "maybe"}, "the answer is 'maybe'; pope takes yes or no"),
    "twice": ({"question_id": "1"}, "question '1' stands twice and would count twice"),
    "another picture": ({"image": Path("b.png")}, "image 'a' has two pictures, a.png and b.png"),
}


@pytest.mark.parametrize(("change", "told"), WRONG.values(), ids=WRONG)
def test_a_question_that_would_count_wrongly_is_refused(change, told):
    good = [Question(str(number), "a", "is it?", "yes", Path("a.png")) for number in (1, 2)]
    assert len(QuestionSet("pope", tuple(good))) == 2
    with pytest.raises(ValueError, match=re.escape(told)):
        QuestionSet("pope", (good[0], dataclasses.replace(good[1], **change)))


@pytest.mark.parametrize("content", ["[{}]", "[", "{}", "[3]", '[{"answer": null}]'])
def test_kept_questions_that_were_changed_are_refused_with_the_way_out(
    content, monkeypatch, tmp_path
):
    (tmp_path / "pope.json").write_text(content)
    monkeypatch.setattr(rendered, "kept_folder", lambda *_: tmp_path)
    with pytest.raises(ValueError, match=r"pope.json was changed or damaged .*delete .*made again"):
        load_questions("pope")


def test_an_answer_that_stands_twice_or_for_another_question_is_refused():
    source = QuestionSource("gqa")
    source.questions = QuestionSet(
        "gqa", tuple(Question(str(n), str(n), "what?", "left", Path(f"{n}.png")) for n in (1, 2))
    )
    first, second = source.docs()
    scored = [source.scored(first, "left"), source.scored(second, "right")]
    assert source.estimates(scored)["accuracy"].value == 0.5
    with pytest.raises(ValueError, match=r"1 answers stand twice.*question '1'"):
        source.estimates([*scored, scored[0]])
    with pytest.raises(ValueError, match="question '2' stands at the place of '1'"):
        source.scored(first | {"question_id": "2"}, "left")


def told(rows, **columns):
    """Rows of one condition, of which only some columns matter."""
    filled = {"task": "pope", "method": "x", "positions": "", "budget": 8.0, "draw": 0,
              "group": "", "truth": "yes", "answer": "yes", "read": "yes", "state": "read",
              "score": 1.0, "visual_tokens": 8.0}  # fmt: skip
    return pd.DataFrame([filled | columns | row for row in rows])


def drawn(rng, draws=1):
    """Forty answers at random."""
    rows = []
    for number in range(40):
        truth = ["yes", "no"][number % 2]
        for draw in range(draws):
            read = ["yes", "no"][rng.integers(2)]
            rows.append({"question_id": str(number), "image_id": str(number // 2), "truth": truth,
                         "group": ["a", "b"][number % 4 // 2], "draw": draw, "read": read,
                         "score": float(read == truth)})  # fmt: skip
    return told(rows)


def lines_of(rows, rule):
    return scores_of(rows, rule).set_index("metric")


def test_accuracy_is_the_mean_score_of_all_and_of_each_group():
    rows = drawn(np.random.default_rng(0))
    lines = lines_of(rows, "exact")
    assert lines.loc["accuracy", "value"] == pytest.approx(rows["score"].mean())
    for group, part in rows.groupby("group"):
        line = lines.loc[f"accuracy: {group}"]
        assert line["value"] == pytest.approx(part["score"].mean())
        assert line["low"] <= line["value"] <= line["high"]


def test_what_all_images_answer_rightly_is_bounded_by_their_number():
    rows = drawn(np.random.default_rng(0)).assign(score=1.0)
    lines = lines_of(rows, "exact")
    groups = {"accuracy": rows} | {
        f"accuracy: {name}": part for name, part in rows.groupby("group")
    }
    for name, part in groups.items():
        least = 0.025 ** (1 / part["image_id"].nunique())
        assert lines.loc[name, ["value", "low", "high"]].tolist() == pytest.approx([1, least, 1])


def test_yes_is_the_positive_class():
    rows = drawn(np.random.default_rng(0))
    lines = lines_of(rows, "yes_no")["value"]
    each = {}
    for group, part in [("", rows), *rows.groupby("group")]:
        said, there = part["read"] == "yes", part["truth"] == "yes"
        hit = (said & there).sum()
        each[group] = 2 * hit / (said.sum() + there.sum())
        if not group:
            assert lines["precision"] == pytest.approx(hit / said.sum())
            assert lines["recall"] == pytest.approx(hit / there.sum())
            assert lines["yes_ratio"] == pytest.approx(said.mean())
            assert lines["accuracy"] == pytest.approx((said == there).mean())
    # F1 is the mean over settings, not that of all questions together.
    assert lines["f1"] == pytest.approx((each["a"] + each["b"]) / 2)
    assert lines["f1: a"] == pytest.approx(each["a"])
    silent = lines_of(told([{"image_id": "1", "read": "no", "score": 0.0}]), "yes_no")["value"]
    assert silent["precision"] == silent["f1"] == 0.0
    without = lines_of(told([{"image_id": "1", "truth": "no", "score": 0.0}]), "yes_no")["value"]
    assert np.isnan([without["f1"], without["recall"]]).all()


def test_draws_are_pooled_and_failed_rows_left_out():
    rows = drawn(np.random.default_rng(1), draws=3)
    rows.loc[0, "state"] = "failed"
    line = scores_of(rows, "exact").iloc[0]
    assert line["n"] == 119
    assert line["n_images"] == 20
    assert line["value"] == pytest.approx(rows["score"][1:].mean())
    assert line["low"] <= line["value"] <= line["high"]


@pytest.mark.parametrize("rule", ["exact", "yes_no"])
@pytest.mark.parametrize(("rare", "least", "most"), [(3, 50, 150), (1, 600, 850)])
def test_a_resample_that_misses_a_group_has_no_score_of_it(rule, rare, least, most):
    # The rare group lies on so many of thirty images and is always answered rightly.
    rows = told([{"image_id": str(i), "group": "rare" if i < rare else "usual"} for i in range(30)])
    lines = lines_of(rows, rule)
    line = lines.loc["accuracy: rare" if rule == "exact" else "f1: rare"]
    assert least < line["missing"] < most  # about (1 - rare / 30) ** 30 of 2000
    assert line["value"] == 1.0
    # With more than a tenth missing there is no interval.
    assert np.isnan([line["low"], line["high"]]).all() == (rare == 1)
    assert lines.loc["accuracy", "missing"] == 0


def test_one_image_and_no_answer_give_no_interval_and_no_line():
    line = lines_of(told([{"image_id": "1"}]), "exact").loc["accuracy"]
    assert np.isnan([line["low"], line["high"]]).all()
    assert line["missing"] == 0
    failed = scores_of(told([{"image_id": "1", "state": "failed", "score": np.nan}]), "exact")
    assert failed.empty
    assert "metric" in failed
