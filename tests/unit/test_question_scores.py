"""Answers in words: reading them, single scores, and the totals of POPE, MME and MMBench."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.api import Bootstrap
from litelvlm.analysis.studies.understanding.intervals import intervals_of
from litelvlm.analysis.studies.understanding.scores import scores_of
from litelvlm.metrics.understanding import (
    RULES,
    exact_match,
    normalise_answer,
    read_mme,
    read_option,
    read_pope,
    score_answer,
    vqa_accuracy,
)
from tests.question_totals import circular_accuracy, mme_scores, yes_no_scores


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
        ("men's room", "men's room"),
        ("red\nblue", "red blue"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("1,000 red/blue", "1000 redblue"),
        ("1,,000", "1 000"),
        ("yall'll go", "y'all'll go"),
        ("y'alld've", "y'all'd've"),
        ("'ows'at", "'ow's'at"),
        ("somebody'd", "somebodyd"),
        ("let's", "let's"),
    ],
)
def test_answers_are_normalised_as_vqa_does(text, expected):
    assert normalise_answer(text) == expected


def test_evalai_drops_every_comma_and_parts_a_genitive():
    assert normalise_answer("men's room", "evalai") == "men 's room"
    assert normalise_answer("red,blue?", "evalai") == "redblue"
    assert normalise_answer("1,,000", "evalai") == "1000"
    # Only VQA v2's script finds that both are the same.
    assert score_answer("vqa", "whats", ["what's"] * 10).score == 1.0
    assert score_answer("evalai", "whats", ["what's"] * 10).score == 0.0


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
    [
        ("Yes, it is", "yes"),
        ("NO.", "no"),
        (" Not at all", "no"),
        ("nothing", "no"),
        ("I say no, yes", ""),
        ("There is no dog", ""),
        ("The answer is yes.", ""),
        ("y", ""),
        ("", ""),
    ],
)
def test_mme_reads_the_first_four_letters(text, expected):
    assert read_mme(text) == expected
    found = score_answer("mme", text, ["no"])
    assert found.score == float(expected == "no")
    assert found.state == ("read" if expected else "unreadable" if text else "empty")


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
        ("A dog", "D"),
        ("A Dog.", "D"),
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


def test_an_option_of_one_letter_is_read_by_its_text_only_where_the_letter_names_none():
    assert read_option("A", ["B", "A"]) == "A"
    assert read_option("x", ["x", "y"]) == "A"
    assert read_option("z", ["x", "y"]) == ""
    assert read_option("", ["", "y"]) == ""
    assert read_option("a dog", ["a dog", "A dog"]) == ""


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
def test_pope_reads_the_first_sentence_by_its_published_rule(text, expected):
    assert read_pope(text) == expected


def test_an_unreadable_answer_is_named_and_pope_takes_it_for_a_yes():
    assert score_answer("yes_no", "who knows", ["no"]).score == 0.0
    assert score_answer("yes_no", "who knows", ["yes"]).score == 1.0
    assert score_answer("yes_no", "who knows", ["no"]).state == "unreadable"
    assert score_answer("yes_no", "", ["yes"]).read == "yes"
    assert score_answer("yes_no", "", ["yes"]).state == "empty"
    assert score_answer("mme", "who knows", ["no"]).score == 0.0
    assert score_answer("option", "  ", ["A"], OPTIONS).state == "empty"
    assert score_answer("exact", "", ["red"]).state == "empty"
    with pytest.raises(ValueError, match="unknown rule"):
        score_answer("guess", "a", ["a"])


def test_pope_counts_yes_as_positive():
    found = yes_no_scores(["yes", "yes", "no", "no"], ["yes", "no", "no", "yes"])
    assert found == {
        "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes_ratio": 0.5
    }  # fmt: skip
    assert yes_no_scores(["no"], ["yes"])["precision"] == 0.0
    without = yes_no_scores(["no"], ["no"])
    assert np.isnan([without["f1"], without["recall"]]).all()
    for said, truth in (("yes", "maybe"), ("", "yes")):
        with pytest.raises(ValueError, match="'yes' or 'no'"):
            yes_no_scores([said], [truth])


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
            read = ["yes", "no"][rng.integers(2)]
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


@pytest.mark.parametrize("rule", RULES)
def test_lines_with_intervals_equal_the_plain_scores(rule):
    rows = made_rows(np.random.default_rng(0), rule, 1)
    lines = scores_of(rows, rule).lines.set_index("metric")["value"]
    right = [bool(score) for score in rows["score"]]
    if rule == "yes_no":
        plain = yes_no_scores(list(rows["read"]), list(rows["truth"]))
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
    line = scores_of(rows, "exact").lines.iloc[0]
    assert line["n"] == 119
    assert line["n_images"] == 20
    assert line["value"] == pytest.approx(rows["score"][1:].mean())
    assert line["low"] <= line["value"] <= line["high"]


def told(rows, **columns):
    """Rows of one condition, of which only some columns matter."""
    filled = {"method": "x", "budget": 8.0, "draw": 0, "group": "", "base": "", "truth": "yes",
              "read": "yes", "state": "read", "score": 1.0, "visual_tokens": 8.0}  # fmt: skip
    return pd.DataFrame([filled | columns | row for row in rows])


@pytest.mark.parametrize("rule", ["exact", "yes_no"])
def test_a_resample_that_misses_a_group_has_no_score_of_it(rule):
    # The rare group lies on three of thirty images and is always answered rightly.
    rows = told([{"question_id": str(i), "image_id": str(i), "group": "rare" if i < 3 else "usual"}
                 for i in range(30)])  # fmt: skip
    found = scores_of(rows, rule)
    name = "accuracy: rare" if rule == "exact" else "f1: rare"
    line = found.lines.set_index("metric").loc[name]
    assert 50 < line["missing"] < 150  # about (1 - 3 / 30) ** 30 of 2000
    assert (line["value"], line["low"], line["high"]) == (1.0, 1.0, 1.0)
    note = f"{name}: {line['missing']} of 2000 resamples miss it; its interval comes from the other"
    assert any(one.startswith(note) for one in found.notes)
    whole = found.lines.set_index("metric").loc["accuracy"]
    assert whole["missing"] == 0


def test_a_group_on_one_image_gets_no_interval():
    rows = told([{"question_id": str(i), "image_id": str(i), "group": "rare" if i < 1 else "usual"}
                 for i in range(30)])  # fmt: skip
    found = scores_of(rows, "exact")
    line = found.lines.set_index("metric").loc["accuracy: rare"]
    assert line["value"] == 1.0
    assert np.isnan([line["low"], line["high"]]).all()
    assert 600 < line["missing"] < 850
    assert any("its interval is not given" in note for note in found.notes)


def test_intervals_come_from_resamples_with_a_value():
    draws = np.linspace(0, 1, 1000)
    draws[::20] = np.nan
    (one,) = intervals_of(Bootstrap(np.array([0.5]), draws[:, None], 9, 9))
    assert one.missing == 50
    assert one.estimate.low == pytest.approx(np.nanquantile(draws, 0.025))
    draws[:200] = np.nan
    (one,) = intervals_of(Bootstrap(np.array([0.5]), draws[:, None], 9, 9))
    assert not one.estimate.defined
    (one,) = intervals_of(Bootstrap(np.array([0.5]), np.empty((0, 1)), 1, 9))
    assert (one.missing, one.estimate.method) == (0, "undefined: one image")


def test_questions_about_one_picture_are_resampled_together():
    # Ten questions in two orders about two pictures: all right about one, all wrong on the other.
    rows = [{"question_id": str(i + turn), "base": str(i), "image_id": f"p{i % 2}",
             "score": float(i % 2)} for i in range(1, 11) for turn in (0, 1_000_000)]  # fmt: skip
    line = scores_of(told(rows), "circular").lines.set_index("metric").loc["circular"]
    assert line["n_images"] == 2
    # Two pictures give 0, 0.5 or 1; ten questions by themselves would never reach 0 and 1.
    assert (line["value"], line["low"], line["high"]) == (0.5, 0.0, 1.0)


def test_a_question_without_one_of_its_orders_is_left_out_and_named():
    rows = [{"question_id": str(i + turn), "base": str(i), "image_id": str(i)}
            for i in range(1, 5) for turn in (0, 1_000_000)]  # fmt: skip
    rows[2] |= {"score": 0.0}
    rows[1] |= {"state": "failed", "score": np.nan, "read": None}
    found = scores_of(told(rows), "circular")
    # Of 2, 3 and 4 the first is wrong once; 1 lacks an order and is no right answer.
    assert found.lines.set_index("metric").loc["circular", "value"] == pytest.approx(2 / 3)
    assert found.notes[0] == (
        "1 of 4 questions lack the answer to one of their orders under x 8 and are left out; "
        "the first is 1"
    )


def test_a_first_order_that_is_not_in_the_data_is_no_wrong_one():
    rows = [{"question_id": name, "base": name[-1], "image_id": name[-1]}
            for name in ("1", "1000001", "1000002", "3")]  # fmt: skip
    found = scores_of(told(rows), "circular").lines.set_index("metric")
    assert found.loc["accuracy of the first order", "value"] == 1.0


def test_half_a_pair_of_mme_is_left_out_and_named():
    rows = [{"question_id": f"{i}{half}", "image_id": f"count/{i}", "group": "count",
             "score": float(half == 0 or i > 0)} for i in range(4) for half in (0, 1)]  # fmt: skip
    rows[7] |= {"state": "failed", "score": np.nan, "read": None}
    found = scores_of(told(rows), "mme")
    line = found.lines.set_index("metric").loc["perception"]
    assert line["value"] == pytest.approx(100 * (5 / 6 + 2 / 3))
    assert line["n"] == 6
    assert found.notes[0].startswith("1 of 4 pairs of questions about an image")
    assert found.notes[0].endswith("under x 8 and are left out; the first is count/3")


def test_a_condition_that_failed_everywhere_has_no_line():
    rows = told([{"question_id": "1", "image_id": "1", "state": "failed", "score": np.nan}])
    assert scores_of(rows, "exact").lines.empty
    assert "metric" in scores_of(rows, "exact").lines
