"""J, F and J&F of clips and both protocols, against rules written out pixel by pixel."""

import json
from functools import cache
from itertools import permutations, product
from math import ceil, hypot

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from litelvlm.analysis.studies.scores import count_masks
from litelvlm.metrics import TargetPixels, match_objects, merge_masks
from litelvlm.metrics.frames import frame_scores
from litelvlm.metrics.outlines import outline, tolerance, widened
from tests.parity import video_scores

FRAMES, HEIGHT, WIDTH = 6, 60, 80
VOID = 255


def reference_outline(mask):
    return _reference_outline(mask.tobytes(), mask.shape)


@cache
def _reference_outline(content, shape):
    """Pixels that differ from a neighbour to the east, south or south-east, as DAVIS says it."""
    (height, width), mask = shape, np.frombuffer(content, bool).reshape(shape)
    found = set()
    for y, x in product(range(height), range(width)):
        near = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        if y == height - 1:
            near = [(y, x + 1)]
        if x == width - 1:
            near = [(y + 1, x)]
        if (y, x) != (height - 1, width - 1) and any(mask[y, x] != mask[place] for place in near):
            found.add((y, x))
    return found


def reference_scores(predicted, target, void):
    """J and F of one frame."""
    predicted, target = predicted & ~void, target & ~void
    union = (predicted | target).sum()
    j = (predicted & target).sum() / union if union else 1.0
    one, other = reference_outline(predicted), reference_outline(target)
    if not one or not other:
        return j, float(not one and not other)
    reach = ceil(0.008 * hypot(*target.shape))
    disk = [
        (dy, dx)
        for dy, dx in product(range(-reach, reach + 1), repeat=2)
        if dy * dy + dx * dx <= reach * reach
    ]

    def share(points, others):
        close = [any((y + dy, x + dx) in others for dy, dx in disk) for y, x in points]
        return sum(close) / len(close)

    precision, recall = share(one, other), share(other, one)
    return j, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def box(labels, label, top, left, height=15, width=18, frames=slice(None)):
    labels[frames, top : top + height, left : left + width] = label


def sequence(kind):
    """Labels of true and predicted objects."""
    truth = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    box(truth, 1, 8, 10)
    box(truth, 2, 30, 45)
    found = np.zeros_like(truth)
    box(found, 1, 9, 12)
    box(found, 2, 31, 44)
    if kind == "swapped":
        found = np.array([0, 2, 1], np.uint8)[found]
    elif kind == "missing_object":
        found[found == 2] = 0
    elif kind == "extra_object":
        box(found, 3, 2, 60, 5, 9)
    elif kind == "empty_prediction":
        found[:] = 0
    elif kind == "perfect":
        found = truth.copy()
    elif kind == "object_disappears":
        truth[3:][truth[3:] == 2] = 0
    elif kind == "void_pixels":
        truth[:, 12:20, 20:36] = VOID
    elif kind == "void_covers_object":
        truth[2:4][truth[2:4] == 1] = VOID
    elif kind == "object_absent_in_frame_0":
        truth[0][truth[0] == 2] = 0
    elif kind == "border":
        for labels, shift in ((truth, 0), (found, 1)):
            labels[:] = 0
            box(labels, 1, 0, 0, 12 + shift, 14)
            box(labels, 2, HEIGHT - 10 - shift, WIDTH - 16)
    elif kind == "one_pixel":
        for labels in (truth, found):
            labels[labels == 2] = 0
        truth[:, 40, 50] = 2
        found[:, 41, 51] = 2
    elif kind == "merged_into_one":
        found[found == 2] = 1
    return truth, found


KINDS = (
    "close", "swapped", "missing_object", "extra_object", "empty_prediction", "perfect",
    "object_disappears", "void_pixels", "void_covers_object", "object_absent_in_frame_0",
    "border", "one_pixel", "merged_into_one",
)  # fmt: skip


def reference_table(truth, found):
    """J and F [proposals, objects, frames]; objects are those of frame 0."""
    n_true = max((int(v) for v in np.unique(truth[0]) if v != VOID), default=0)
    n_rows = max(int(found.max()), n_true)
    table = np.zeros((2, n_rows, n_true, len(truth)))
    for row, column, frame in product(range(n_rows), range(n_true), range(len(truth))):
        table[:, row, column, frame] = reference_scores(
            found[frame] == row + 1, truth[frame] == column + 1, truth[frame] == VOID
        )
    return table


@pytest.mark.parametrize("kind", KINDS)
def test_matched_objects_score_as_davis_says(kind):
    truth, found = sequence(kind)
    matched = match_objects(torch.from_numpy(truth), torch.from_numpy(found))
    j, f = reference_table(truth, found)
    np.testing.assert_allclose(matched.table.j, j, atol=1e-12)
    np.testing.assert_allclose(matched.table.f, f, atol=1e-12)
    both = (j.mean(-1) + f.mean(-1)) / 2
    best = max(
        sum(both[row, column] for column, row in enumerate(rows))
        for rows in permutations(range(len(both)), both.shape[1])
    )
    assert sum(both[row - 1, column - 1] for column, row in matched.pairs) == pytest.approx(best)
    assert sorted(column for column, _ in matched.pairs) == list(range(1, both.shape[1] + 1))
    for place, (column, row) in enumerate(matched.pairs):
        np.testing.assert_array_equal(matched.scores.j[place], matched.table.j[row - 1, column - 1])


@pytest.mark.parametrize("kind", KINDS)
def test_an_expression_is_scored_against_its_own_object(kind):
    truth, found = sequence(kind)
    void = truth == VOID
    targets = np.stack([np.where(void, VOID, truth == label) for label in (1, 2)]).astype(np.uint8)
    masks = torch.from_numpy(np.stack([found == label for label in (1, 2)]))
    scores = frame_scores(masks, TargetPixels.of(torch.from_numpy(targets)))
    for label, frame in product((1, 2), range(FRAMES)):
        expected = reference_scores(
            found[frame] == label, truth[frame] == label, truth[frame] == VOID
        )
        got = scores.j[label - 1, frame], scores.f[label - 1, frame]
        assert got == pytest.approx(expected, abs=1e-12), (label, frame)


def test_matching_rescues_swapped_objects_and_the_expressions_own_object_does_not():
    truth, found = (torch.from_numpy(labels) for labels in sequence("swapped"))
    assert match_objects(truth, found).pairs == ((2, 1), (1, 2))
    j, f = match_objects(truth, found).scores.means()
    assert min(j.min(), f.min()) > 0.5
    own = frame_scores(found == 1, TargetPixels.of((truth == 1).to(torch.uint8)))
    assert own.j.max() == own.f.max() == 0


def test_a_clip_without_an_object_in_frame_0_has_none():
    truth, found = sequence("close")
    truth[0] = 0
    matched = match_objects(torch.from_numpy(truth), torch.from_numpy(found))
    assert matched.pairs == ()
    assert matched.scores.j.shape == (0, FRAMES)


def test_labels_that_cannot_be_matched_are_refused():
    labels = torch.zeros(2, 4, 5, dtype=torch.uint8)
    with pytest.raises(ValueError, match="labels go up to 21; at most 20"):
        match_objects(labels, labels + 21)
    with pytest.raises(ValueError, match=r"labels are \(2, 4, 5\), true ones \(1, 4, 5\)"):
        match_objects(labels[:1], labels)


def test_masks_merge_by_score_and_then_by_order():
    scores = torch.tensor([[0.4, 0.6, 0.9, 0.6], [0.45, 0.7, 0.9, 0.2]]).view(2, 1, 1, 4)
    assert merge_masks(scores).tolist() == [[[0, 2, 1, 1]]]
    assert merge_masks(scores > 0.5).tolist() == [[[0, 1, 1, 1]]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (130, 170), (40, 700)])
def test_outlines_and_disks_of_any_size(size):
    rng = np.random.default_rng(sum(size))
    mask, sparse = rng.random(size) < 0.4, rng.random(size) < 0.01
    lines = {tuple(place) for place in np.argwhere(outline(torch.from_numpy(mask)).numpy())}
    assert lines == reference_outline(mask)
    for radius in (1, 2, 3, 9):
        wide = widened(torch.from_numpy(sparse), radius).numpy()
        points = np.argwhere(sparse)
        for y, x in product(range(0, size[0], 3), range(0, size[1], 5)):
            near = any((y - a) ** 2 + (x - b) ** 2 <= radius**2 for a, b in points)
            assert wide[y, x] == near, (radius, y, x)


def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up():
    # 75 x 100 has a diagonal of exactly 125 pixels, and so a tolerance of exactly 1.
    sizes = [(75, 100), (76, 100), (480, 854), (1080, 1920)]
    assert [tolerance(*size) for size in sizes] == [1, 2, 8, 18]


def test_an_object_on_the_last_pixel_alone_has_no_outline():
    target = torch.zeros(1, 5, 6, dtype=torch.uint8)
    target[0, -1, -1] = 1
    scores = frame_scores(torch.zeros(1, 5, 6, dtype=torch.bool), TargetPixels.of(target))
    assert (scores.j.tolist(), scores.f.tolist()) == ([0.0], [0.0])
    corner = outline(target == 1)[0]
    assert corner.nonzero().tolist() == [[3, 4], [3, 5], [4, 4]]


def test_rows_of_a_clip_hold_means_over_frames_and_pixels_of_all():
    target = torch.zeros(1, 1, 2, 40, 50, dtype=torch.uint8)
    target[..., 0, 10:20, 10:20] = 1
    mask = torch.zeros_like(target, dtype=torch.bool)
    mask[..., 0, 10:20, 10:30] = True
    mask[..., 1, :2, :2] = True
    ((row,),) = count_masks(mask, TargetPixels.of(target), mask, [[True]], by_frame=True)
    assert (row["inter_px"], row["union_px"]) == (100, 204)
    assert row["iou"] == pytest.approx(100 / 204)
    j, f = frame_scores(mask, TargetPixels.of(target)).means()
    assert row["j"] == j.item() == pytest.approx((100 / 200 + 0) / 2)
    assert row["f"] == f.item() < 0.5
    assert row["jf"] == pytest.approx((row["j"] + row["f"]) / 2)
    first, whole = mask[:, :, :1], TargetPixels.of(target[:, :, :1])
    ((image,),) = count_masks(first, whole, first, [[True]])
    assert image.keys().isdisjoint(["j", "f", "jf"])


def test_recorded_labels_are_answered_in_the_form_of_the_recording(tmp_path):
    fixtures, out = tmp_path / "metrics", tmp_path / "out"
    fixtures.mkdir()
    out.mkdir()
    stored = {}
    for kind in KINDS:
        labels = zip(("gt", "pred"), sequence(kind), strict=True)
        stored |= {f"{kind}.{which}": torch.from_numpy(one) for which, one in labels}
    save_file(stored, fixtures / "inputs.safetensors")
    video_scores.compute(fixtures, out)
    tables, got = load_file(out / "got.safetensors"), json.loads((out / "got.json").read_text())
    assert tables["extra_object.J_table"].shape == (3, 2, FRAMES)
    assert got["swapped"]["fixed_order_J"] == [0, 0]
    assert min(got["swapped"]["J"]) > 0.5
    assert got["perfect"]["J&F"] == [1, 1]
    objects = [value for kind in KINDS for value in got[kind]["F"]]
    assert got["overall"]["F"] == pytest.approx(np.mean(objects))
