"""Boxes in answers: every way of writing one, what its numbers mean, and the scores."""

import pandas as pd
import pytest

from litelvlm.analysis.inputs.boxes import SEVERAL, box_targets
from litelvlm.analysis.inputs.methods import Method, at_positions
from litelvlm.analysis.inputs.opposites import with_opposites
from litelvlm.analysis.inputs.samples import NO_OUTLINE, NO_TARGET
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.scores import main_metric, scores_of
from litelvlm.analysis.studies.understanding.tables import answer_notes
from litelvlm.data.annotations import Annotation, RefDataError
from litelvlm.data.dataset import Expression
from litelvlm.data.refer import ReferSample
from litelvlm.metrics.answers import ScoredAnswer
from litelvlm.metrics.boxes import Box, BoxScale, box_iou, read_box, score_box
from litelvlm.models.vlm.boxes import BOX_HABITS, box_habit
from litelvlm.models.vlm.families import VLM_FAMILIES

WRITTEN = {
    "Qwen2.5-VL": '[{"bbox_2d": [10, 20, 30, 40], "label": "the dog"}]',
    "Qwen2.5-VL, fenced": '```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "dog"}\n]\n```',
    "Qwen3-VL": '{"bbox_2d": [10, 20, 30, 40]}',
    "Qwen3-VL, cut off": '```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "the do',
    "Qwen-VL": "<ref>the dog</ref><box>(10,20),(30,40)</box>",
    "Qwen2-VL": "<|object_ref_start|>dog<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>",
    "Qwen2-VL, without special tokens": "dog(10,20),(30,40)",
    "InternVL": "<ref>the dog</ref><box>[[10, 20, 30, 40]]</box>",
    "InternVL, of shares": "<box>[[10.0, 20.0, 30.0, 40.0]]</box>",
    "GLM-V": "<think>At [1, 2, 3, 4].</think><|begin_of_box|>[[10,20,30,40]]<|end_of_box|>",
    "GLM-V, thoughts opened by the prompt": "It may be [1, 2, 3, 4].</think>[10, 20, 30, 40]",
    "LLaVA": "[10, 20, 30, 40]",
    "bare": "10, 20, 30, 40",
    "bare in tags": "<box>10, 20, 30, 40</box>",
    "round": "(10, 20, 30, 40)",
    "two points": "[[10, 20], [30, 40]]",
    "words around": "The dog [left] is at [10, 20, 30, 40], next to 2 cats.",
    "several": '[{"bbox_2d": [10, 20, 30, 40]}, {"bbox_2d": [50, 60, 70, 80]}]',
    "several of two kinds": "(10,20),(30,40) and [50, 60, 70, 80]",
    "corners swapped": "[30, 40, 10, 20]",
    "one axis swapped": "(30,20),(10,40)",
    "decimals without a nought": "[10., 20.0, 30.00, 40]",
}


@pytest.mark.parametrize("said", WRITTEN.values(), ids=WRITTEN)
def test_a_box_is_read_as_families_write_it(said):
    assert read_box(said) == Box(10, 20, 30, 40)


def test_shares_and_negative_numbers_are_read():
    assert read_box("[-0.02, .25, 0.5, 1]") == Box(-0.02, 0.25, 0.5, 1.0)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "It is on the left.",
        "[10, 20, 30]",
        "[10, 20, 30, 40, 50]",
        "(10, 20)",
        "At 10, 20, 30, 40 or so",
        '{"bbox_2d": [10, 20, 30,',
        '{"bbox_2d": "none"}',
        "[nan, 0, 1, inf]",
        "<think>It may be [10, 20, 30, 40], but",
        "[1e1, 20, 30, 40]",
    ],
)
def test_what_is_no_box_is_not_read(said):
    assert read_box(said) is None


def test_iou_by_hand():
    assert box_iou(Box(0, 0, 4, 2), Box(2, 0, 6, 2)) == pytest.approx(4 / 12)
    assert box_iou(Box(0, 0, 4, 2), Box(1, 0, 3, 1)) == pytest.approx(2 / 8)
    assert box_iou(Box(0, 0, 1, 1), Box(1, 0, 2, 1)) == 0.0
    assert box_iou(Box(1, 1, 1, 1), Box(1, 1, 1, 1)) == 0.0


SHARES = BoxScale(Box(0, 0, 200, 100), (1.0, 1.0))
THOUSANDTHS = BoxScale(Box(0, 0, 200, 100), (1000.0, 1000.0))
PIXELS = BoxScale(Box(0, 0, 200, 100), (224.0, 112.0))
TRUTH = Box(50, 25, 150, 75)


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (SHARES, "[0.25, 0.25, 0.75, 0.75]"),
        (THOUSANDTHS, "[250, 250, 750, 750]"),
        (PIXELS, "[56, 28, 168, 84]"),
    ],
)
def test_the_format_says_what_numbers_mean(scale, said):
    assert score_box(said, TRUTH, scale) == ScoredAnswer("[50.0, 25.0, 150.0, 75.0]", 1.0, "read")
    for other in {SHARES, THOUSANDTHS, PIXELS} - {scale}:
        assert score_box(said, TRUTH, other).score < 0.5


@pytest.mark.parametrize(
    ("scale", "said", "state"),
    [
        (SHARES, "", "empty"),
        (SHARES, "there", "unreadable"),
        (SHARES, "[250, 250, 750, 750]", "unreadable"),
        (THOUSANDTHS, "[0.25, 0.25, 0.75, 0.75]", "unreadable"),
        (PIXELS, "[0.25, 0.25, 0.75, 0.75]", "unreadable"),
        (SHARES, "[0.25, 0.25, 0.75, 1.01]", "read"),
        (PIXELS, "[0, 0, 1, 2]", "read"),
    ],
)
def test_numbers_of_another_format_are_no_box(scale, said, state):
    found = score_box(said, TRUTH, scale)
    assert found.state == state
    assert found.score == 0.0 or state == "read"


def test_every_family_of_the_table_is_one_of_the_door_and_has_a_format():
    assert set(BOX_HABITS) <= set(VLM_FAMILIES)
    for name, habit in BOX_HABITS.items():
        assert habit.format in ("0-1", "0-1000", "pixels")
        assert habit.prompt.count("{}") == 1
        assert box_habit(VLM_FAMILIES[name], None, None) == habit
        assert box_habit(VLM_FAMILIES[name], "0-1", "where is {}?").format == "0-1"
        assert box_habit(VLM_FAMILIES[name], None, "where is {}?").prompt == "where is {}?"
    assert {
        n: h.format for n, h in BOX_HABITS.items() if n in ("llava", "internvl", "qwen2_vl")
    } == {
        "llava": "0-1",
        "internvl": "0-1000",
        "qwen2_vl": "0-1000",
    }
    assert BOX_HABITS["qwen2_5_vl"].format == "pixels"


@pytest.mark.parametrize("name", sorted(set(VLM_FAMILIES) - set(BOX_HABITS)))
def test_a_family_outside_the_table_is_refused_with_what_to_say(name):
    with pytest.raises(ValueError, match=rf"'{name}' writes boxes.*--box-format.*0-1, 0-1000, pix"):
        box_habit(VLM_FAMILIES[name], None, "where is {}?")
    assert box_habit(VLM_FAMILIES[name], "0-1000", None).format == "0-1000"


def test_a_format_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"box_format '0-100'.*Allowed: 0-1, 0-1000, pixels"):
        box_habit(VLM_FAMILIES["llava"], "0-100", None)


OUTLINE = "[[2,3,8,3,8,7,2,7]]"


def sample(*annotations, meant=((1,),)):
    """An image of 20 x 10 pixels with such objects, and an expression for each group meant."""
    expressions = tuple(
        Expression(number, number, ids, (1,), f"dog {number}") for number, ids in enumerate(meant)
    )
    known = {one.ann_id: one for one in annotations}
    return ReferSample(5, "x.png", 10, 20, expressions, None, "", known)


def test_the_stated_box_is_the_true_one_and_an_outline_stands_in():
    stated = Annotation(1, 5, 1, OUTLINE, bbox=(1.5, 2.5, 7.0, 5.0))
    (target,), skipped = box_targets(sample(stated))
    assert (target.box, skipped) == (Box(1.5, 2.5, 8.5, 7.5), ())
    (target,), _ = box_targets(sample(Annotation(1, 5, 1, OUTLINE)))
    assert target.box == Box(2, 3, 8, 7)
    (target,), _ = box_targets(sample(Annotation(1, 5, 1, "[]", bbox=(1.0, 2.0, 3.0, 4.0))))
    assert target.box == Box(1, 2, 4, 6)


def test_expressions_without_one_box_are_skipped_with_their_reason():
    one, two = Annotation(1, 5, 1, OUTLINE), Annotation(2, 5, 1, "[]")
    flat = Annotation(3, 5, 1, "[]", bbox=(1.0, 2.0, 0.0, 4.0))
    found, skipped = box_targets(sample(one, two, flat, meant=((1,), (1, 2), (-1,), (2,), (3,))))
    assert [target.expression.sent_id for target in found] == [0]
    assert skipped == (SEVERAL, NO_TARGET, NO_OUTLINE, NO_OUTLINE)


@pytest.mark.parametrize(
    "bbox", [(2.0, 3.0, 8.0, 7.0), (0.0, 0.0, 1.0, 1.0), (2.0, 3.0, -6.0, 4.0)]
)
def test_a_box_that_does_not_fit_its_mask_is_refused_by_its_annotation(bbox):
    outline = "[[2,3,5,3,5,5,2,5]]"
    with pytest.raises(RefDataError, match=r"annotation 1 has bbox .* \[2.0, 3.0, 3.0, 2.0\], as"):
        box_targets(sample(Annotation(1, 5, 1, outline, bbox=bbox)))


def told(*ious, **columns):
    """Rows of one condition with these IoUs; None for an answer that could not be read."""
    filled = {"task": "rec", "method": "x", "positions": "original", "budget": 8.0, "group": "",
              "seen": 1.0, "answer": "here", "visual_tokens": 8.0}  # fmt: skip
    rows = [
        {"question_id": str(at), "image_id": str(at // 2), "score": iou or 0.0,
         "state": "unreadable" if iou is None else "read"}
        for at, iou in enumerate(ious)
    ]  # fmt: skip
    return pd.DataFrame([filled | columns | row for row in rows])


def test_boxes_are_scored_at_an_iou_of_a_half_and_by_their_mean():
    rows = told(0.5, 0.8, 0.49, None, 1.0, 0.2)
    scores = scores_of(rows, "box").set_index("metric")
    assert main_metric(scores.reset_index()) == "accuracy@0.5"
    assert scores.loc["accuracy@0.5", "value"] == pytest.approx(3 / 6)
    assert scores.loc["mean IoU", "value"] == pytest.approx(2.99 / 6)
    assert (scores["unreadable"] == 1).all()
    assert (scores["n"] == 6).all()
    assert (scores["n_images"] == 3).all()
    assert (scores["positions"] == "original").all()
    low, high = scores.loc["accuracy@0.5", ["low", "high"]]
    assert low < 0.5 < high


def test_boxes_are_scored_in_each_group():
    rows = pd.concat([told(1.0, 0.0, group="place"), told(0.6, 0.6, group="relation")])
    scores = scores_of(rows, "box").set_index("metric")["value"]
    assert scores["accuracy@0.5: place"] == 0.5
    assert scores["accuracy@0.5: relation"] == 1.0
    assert scores["mean IoU: relation"] == pytest.approx(0.6)


def test_notes_name_answers_without_a_box_and_boxes_that_are_not_shown():
    rows = told(0.5, None)
    rows.loc[0, "seen"] = 0.3
    hidden, lost = answer_notes(rows)
    assert "less than half of 1 of 2 boxes" in hidden
    assert "--pad" in hidden
    assert "1 of 2 answers of x 8 are unreadable and count as IoU 0; --box-format" in lost
    assert "'here' to question 1" in lost


def labels(methods):
    return [method.label for method in methods]


def parsed(*texts):
    return tuple(map(Method.parse, texts))


def test_the_opposite_of_a_ranking_keeps_its_order_and_positions():
    assert labels(
        with_opposites(parsed("fastervlm(positions=original)", "random", "divprune"))
    ) == [
        "fastervlm(positions=original)",
        "reverse(of=fastervlm(positions=original), positions=original)",
        "random",
        "divprune",
    ]
    assert labels(with_opposites(parsed("trim", "high_similarity", "low_similarity"))) == [
        "trim",
        "trim(sign=1)",
        "high_similarity",
        "low_similarity",
    ]
    for method in with_opposites(parsed("fastervlm:gap", "litelvlm:gap", "fastv")):
        assert method.pruner().positions == "original"


def test_positions_are_an_axis_of_every_method():
    found = at_positions(parsed("divprune", "random(seed=1)"), ("contiguous", "original"))
    assert labels(found) == [
        "divprune(positions=contiguous)",
        "divprune(positions=original)",
        "random(positions=contiguous, seed=1)",
        "random(positions=original, seed=1)",
    ]
    assert at_positions(parsed("divprune"), ()) == parsed("divprune")
    with pytest.raises(ValueError, match=r"divprune\(positions=original\) are given twice"):
        at_positions(parsed("divprune(positions=original)"), ("contiguous",))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("where is it?", "0 places {}"), ("{} or {}?", "2 places {}")],
)
def test_a_prompt_has_one_place_for_the_expression(prompt, message):
    with pytest.raises(ValueError, match=message):
        Config(prompt=prompt)
