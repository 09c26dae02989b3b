"""Answers in words: reading them, single scores, and the totals of POPE, MME and MMBench."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.understanding.scores import score_lines
from litelvlm.metrics.understanding import (
    circular_accuracy,
    exact_match,
    mme_scores,
    normalise_answer,
    read_option,
    read_yes_no,
    score_answer,
    vqa_accuracy,
    yes_no_scores,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Red Cars.", "red cars"),
        ("two", "2"),
        ("none", "0"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("U.S.", "us"),
        ("black/white", "black white"),
        ("left, right", "left right"),
        ("dont know", "don't know"),
        ("couldntve", "couldntve"),
        ("a an the", ""),
        ("what?", "what"),
        ("men's room", "men 's room"),
        ("red\nblue", "red blue"),
    ],
)
def test_answers_are_normalised_as_vqa_does(text, expected):
    assert normalise_answer(text) == expected


def test_vqa_accuracy_leaves_each_answer_out_in_turn():
    answers = ["red"] * 3 + ["blue"] * 7
    # Leaving out a "red" leaves two: 2/3 in three cases, 3/3 in seven.
    assert vqa_accuracy("Red.", answers) == pytest.approx((3 * 2 / 3 + 7) / 10)
    assert vqa_accuracy("blue", answers) == 1.0
    assert vqa_accuracy("", answers) == 0.0
    assert vqa_accuracy("red", ["red"]) == 0.0
    with pytest.raises(ValueError, match="at least one answer"):
        vqa_accuracy("red", [])


def test_exact_match_ignores_case_and_punctuation_only():
    assert exact_match(" Left. ", "left") == 1.0
    assert exact_match("the left", "left") == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Yes, it is", "yes"), ("I say no, yes", "no"), ("nothing", ""), ("", ""), ("NO.", "no")],
)
def test_first_yes_or_no_counts(text, expected):
    assert read_yes_no(text) == expected


OPTIONS = ["a red car", "a blue boat", "a green tree", "a dog"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        ("(c)", "C"),
        ("d.", "D"),
        ("B. a blue boat", "B"),
        ("The answer is C", "C"),
        ("Option: D", "D"),
        ("a dog", "D"),
        ("The answer is a dog.", "D"),
        ("Answer: a green tree", "C"),
        ("The answer is B or C", ""),
        ("The answer is not A. It is B", ""),
        ("It shows a green tree.", "C"),
        ("A red car or a blue boat", ""),
        ("E", ""),
        ("A or B", ""),
        ("A bird flies over water", ""),
        ("maybe", ""),
        ("", ""),
    ],
)
def test_options_are_read_by_rules(text, expected):
    assert read_option(text, OPTIONS) == expected


def test_an_unreadable_answer_is_named_and_pope_takes_it_for_a_no():
    assert score_answer("yes_no", "who knows", ["no"]).score == 1.0
    assert score_answer("yes_no", "who knows", ["no"]).state == "unreadable"
    assert score_answer("mme", "who knows", ["no"]).score == 0.0
    assert score_answer("option", "  ", ["A"], OPTIONS).state == "empty"
    assert score_answer("exact", "", ["red"]).state == "empty"
    with pytest.raises(ValueError, match="unknown rule"):
        score_answer("guess", "a", ["a"])


def test_pope_counts_yes_as_positive():
    found = yes_no_scores(["yes", "yes", "no", ""], ["yes", "no", "no", "yes"])
    assert found == {
        "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes_ratio": 0.5
    }  # fmt: skip
    assert yes_no_scores(["no"], ["no"])["f1"] == 0.0
    with pytest.raises(ValueError, match="'yes' or 'no'"):
        yes_no_scores(["yes"], ["maybe"])


def test_mme_adds_accuracy_and_accuracy_of_pairs():
    right, image = [True, True, True, False], ["a", "a", "b", "b"]
    found = mme_scores(right, ["count"] * 4, image)
    assert found["count"] == found["perception"] == pytest.approx(75 + 50)
    assert "cognition" not in found
    with pytest.raises(ValueError, match="two questions about each image"):
        mme_scores([True], ["count"], ["a"])


def test_circular_evaluation_needs_every_order():
    assert circular_accuracy([True, True, True, False], ["1", "1", "2", "2"]) == 0.5


def made_rows(rng, rule, draws):
    """Rows of two conditions with random answers."""
    rows = []
    for number in range(40):
        truth = ["yes", "no"][number % 2]
        for draw in range(draws):
            read = ["yes", "no", ""][rng.integers(3)]
            rows.append({
                "question_id": f"{number % 20}" if number < 20 else f"{1000000 + number % 20}",
                "image_id": str(number // 2),
                "group": ["count", "OCR"][number // 20] if rule == "mme" else "random",
                "base": str(number % 20),
                "truth": truth, "draw": draw, "method": "random", "budget": 8.0,
                "read": read, "score": float(read == truth), "state": "read",
                "visual_tokens": 8.0,
            })  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("rule", ["exact", "vqa", "yes_no", "mme", "option", "circular"])
def test_lines_with_intervals_equal_the_plain_scores(rule):
    rows = made_rows(np.random.default_rng(0), rule, 1)
    lines = score_lines(rows, rule).set_index("metric")["value"]
    right = [bool(score) for score in rows["score"]]
    if rule == "yes_no":
        plain = yes_no_scores(list(rows["read"]), list(rows["truth"]))
        # Here "" is no "no": the rows hold what was read, and scores are given.
        for name in ("f1", "precision", "recall", "yes_ratio"):
            assert lines[name] == pytest.approx(plain[name])
    elif rule == "mme":
        plain = mme_scores(right, list(rows["group"]), list(rows["image_id"]))
        for name in ("count", "OCR", "perception"):
            assert lines[name] == pytest.approx(plain[name])
    elif rule == "circular":
        assert lines["circular"] == circular_accuracy(right, list(rows["base"]))
    else:
        assert lines["accuracy"] == pytest.approx(rows["score"].mean())


def test_draws_are_pooled_and_failed_rows_left_out():
    rows = made_rows(np.random.default_rng(1), "exact", 3)
    rows.loc[0, "state"] = "failed"
    line = score_lines(rows, "exact").iloc[0]
    assert line["n"] == 119
    assert line["n_images"] == 20
    assert line["value"] == pytest.approx(rows["score"][1:].mean())
    assert line["low"] <= line["value"] <= line["high"]
