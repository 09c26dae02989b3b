"""Mask scores: hand-computed cases and the recorded official numbers."""

import numpy as np
import pytest

from litelvlm.metrics import (
    GREFCOCO_SCORES,
    ciou,
    giou,
    grefcoco_scores_of_sums,
    grefcoco_summands,
    intersection_union,
    iou,
    scored_target,
)


def masks(predicted, target):
    return np.array([predicted], dtype=bool), np.array([target], dtype=np.uint8)


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ([1, 1, 0, 0], [1, 0, 1, 0], (1, 3)),
        ([1, 1, 1, 1], [1, 1, 1, 1], (4, 4)),
        ([0, 0, 0, 0], [1, 1, 0, 0], (0, 2)),
        ([0, 0, 0, 0], [0, 0, 0, 0], (0, 0)),
        ([1, 0, 0, 0], [0, 0, 0, 0], (0, 1)),
        # 2 = overlapping polygons: predicted there is a false positive, not predicted there is
        # nothing.
        ([1, 1, 0, 0], [1, 2, 2, 0], (1, 2)),
        # 255 is ignored on both sides.
        ([1, 1, 0, 0], [1, 255, 255, 0], (1, 1)),
    ],
)
def test_intersection_and_union(predicted, target, expected):
    assert tuple(intersection_union(*masks(predicted, target))) == expected


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"prediction is \(2, 3\), target \(3, 2\)"):
        intersection_union(np.zeros((2, 3), dtype=bool), np.zeros((3, 2), dtype=np.uint8))


def test_scores_by_hand():
    # Three expressions: 1/2, 3/4, and both empty.
    i, u = [1, 3, 0], [2, 4, 0]
    assert iou(i, u, exact=True).tolist() == [0.5, 0.75, 1.0]
    assert iou(i, u).tolist() == pytest.approx([1 / 2.00001, 3 / 4.00001, 1.0], abs=1e-12)
    assert giou(i, u, exact=True) == pytest.approx(2.25 / 3, abs=1e-15)
    assert giou(i, u) == pytest.approx((1 / 2.00001 + 3 / 4.00001 + 1) / 3.00001, abs=1e-15)
    assert ciou(i, u, exact=True) == pytest.approx(4 / 6, abs=1e-15)
    assert ciou(i, u) == pytest.approx(4 / (6 + 1e-10), abs=1e-15)


def test_all_empty():
    assert giou([0], [0], exact=True) == 1.0
    assert ciou([0], [0], exact=True) == 1.0
    assert ciou([0], [0]) == 0.0  # the official form


def test_large_counts_are_summed_exactly():
    # 10^7 + 1 pixels per mask: single precision would lose the odd one.
    i, u = [10_000_001] * 3, [20_000_001] * 3
    assert ciou(i, u, exact=True) == 30_000_003 / 60_000_003


@pytest.mark.parametrize(("i", "u"), [([], []), ([1], [1, 2]), ([3], [2]), ([-1], [2])])
def test_senseless_counts_are_refused(i, u):
    with pytest.raises(ValueError, match="intersection"):
        ciou(i, u)


def grefcoco(i, u, predicted, target):
    summands = grefcoco_summands(i, u, predicted, target, np.array(target) == 0)
    (scores,) = grefcoco_scores_of_sums(summands.sum(axis=0, keepdims=True))
    return dict(zip(GREFCOCO_SCORES, scores.tolist(), strict=True))


def test_no_target_scores_by_hand():
    # No target, refused (49 px); no target, answered (50 px); target, hit 60 / 120; target, refused
    # (10 px of 80).
    i, u = [0, 0, 60, 10], [49, 50, 120, 80]
    predicted, target = [49, 50, 90, 10], [0, 0, 90, 80]
    scores = grefcoco(i, u, predicted, target)
    assert (scores["n_acc"], scores["t_acc"]) == (0.5, 0.5)
    assert scores["giou"] == pytest.approx((1 + 0 + 0.5 + 0) / 4, abs=1e-15)
    assert scores["ciou"] == pytest.approx(60 / (0 + 50 + 120 + 80), abs=1e-15)
    assert np.isnan(grefcoco([60], [70], [60], [70])["n_acc"])
    assert np.isnan(grefcoco([0], [60], [60], [0])["t_acc"])


def test_doubled_pixels_are_wrong_or_the_object():
    target = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    everything = np.ones((1, 4), dtype=bool)
    # Predicted 0, 1, 2 (255 is ignored); the object is one pixel, or two.
    assert tuple(intersection_union(everything, target)) == (1, 3)
    assert tuple(intersection_union(everything, target, doubled="object")) == (2, 3)
    with pytest.raises(ValueError, match="rule for doubled pixels"):
        intersection_union(everything, target, doubled="half")


def test_a_target_as_it_is_scored():
    target = np.array([[0, 1, 2, 3, 254, 255]], dtype=np.uint8)
    assert scored_target(target) is target
    assert scored_target(target, "object").tolist() == [[0, 1, 1, 1, 1, 255]]
    assert scored_target(target, "object").dtype == np.uint8
