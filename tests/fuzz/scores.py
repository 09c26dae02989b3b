"""Pixel counts and scores against counting by hand."""

import math
from fractions import Fraction

import numpy as np
import torch
from hypothesis import strategies as st

from litelvlm.metrics.grefcoco import grefcoco_scores_of_sums, grefcoco_summands
from litelvlm.metrics.pixels import count_pixels, intersection_union
from litelvlm.metrics.scores import THRESHOLDS, ciou, giou, iou, precision_at

PIXELS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0, 0, 1, 1, 2, 3, 254, 255])), min_size=1,
    max_size=60,
)  # fmt: skip
MASKS = st.tuples(PIXELS, st.integers(1, 6), st.sampled_from(["background", "object"])).map(list)


def check_counts(case: list) -> None:
    """Both ways of counting give what a loop over pixels gives."""
    pixels, height, doubled = case
    width = max(1, len(pixels) // height)
    pixels = (pixels * height)[: height * width]
    predicted = np.array([bool(p) for p, _ in pixels]).reshape(height, width)
    target = np.array([t for _, t in pixels], dtype=np.uint8).reshape(height, width)
    both = either = 0
    for wanted, value in pixels:
        object_here = value == 1 or (doubled == "object" and 1 < value < 255)
        if value != 255:
            both += wanted and object_here
            either += wanted or object_here
    assert tuple(intersection_union(predicted, target, doubled)) == (both, either)
    if doubled == "background":
        found = count_pixels(torch.from_numpy(predicted), torch.from_numpy(target))
        assert (int(found.intersection), int(found.union)) == (both, either)


TABLES = st.tuples(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=12),
    st.booleans(),
).map(list)


def check_scores(case: list) -> None:
    """Scores are what exact fractions give; tables that cannot be are refused."""
    counts, mixed_up = case
    pairs = [(min(a, b), max(a, b)) for a, b in counts] if not mixed_up else counts
    i, u = [a for a, _ in pairs], [b for _, b in pairs]
    if not pairs or any(a > b for a, b in pairs):
        for score in (iou, giou, ciou):
            try:
                score(i, u)
            except ValueError:
                continue
            raise AssertionError("counts that cannot be were scored")
        return
    ratios = [Fraction(a, b) if b else Fraction(1) for a, b in pairs]
    np.testing.assert_allclose(iou(i, u, exact=True), [float(r) for r in ratios], rtol=1e-12)
    assert math.isclose(giou(i, u, exact=True), float(sum(ratios) / len(ratios)), rel_tol=1e-12)
    whole = Fraction(sum(i), sum(u)) if sum(u) else Fraction(1)
    assert math.isclose(ciou(i, u, exact=True), float(whole), rel_tol=1e-12, abs_tol=1e-15)
    for threshold, share in precision_at(i, u).items():
        reached = sum(float(r) >= threshold for r in ratios)
        assert share == reached / len(ratios)
    assert set(precision_at(i, u)) == set(THRESHOLDS)
    summands = grefcoco_summands(i, u, u, i, np.array(i) == 0)
    scores = grefcoco_scores_of_sums(summands.sum(axis=0, keepdims=True))
    assert np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1)))
