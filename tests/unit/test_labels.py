"""Token labels and control label maps on small grids worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.inputs.labels import (
    FILLS_IMAGE,
    OUTSIDE_CROP,
    label_tokens,
    random_blob,
    shift_labels,
    size_matched,
    skip_reason,
    toroidal_shifts,
)
from litelvlm.analysis.inputs.samples import key_columns, label_columns, target_mask, token_coverage
from litelvlm.clip.preprocessing import Preprocessing


def test_thresholds_belong_to_their_side():
    labels = label_tokens(np.array([[1.0, 0.5, 0.49], [0.06, 0.05, 0.0]]))
    assert labels.inside.tolist() == [True, True, False, False, False, False]
    assert labels.outside.tolist() == [False, False, False, False, True, True]
    assert (labels.n_in, labels.tiny) == (2, False)


@pytest.mark.parametrize("peak", [0.3, 0.01])
def test_a_tiny_object_keeps_its_best_token(peak):
    labels = label_tokens(np.array([0.0, peak, peak / 2, 0.0]))
    assert labels.tiny
    assert labels.inside.tolist() == [False, True, False, False]
    assert not labels.outside[1]
    assert labels.outside[3]


def test_masks_that_cannot_be_labelled_say_why():
    assert skip_reason(np.zeros(4)) == OUTSIDE_CROP
    assert skip_reason(np.array([1.0, 0.9, 0.2])) == FILLS_IMAGE
    assert skip_reason(np.array([0.04])) == FILLS_IMAGE
    assert skip_reason(np.array([1.0, 0.0])) is None
    for coverage in (np.zeros(4), np.ones(4)):
        with pytest.raises(ValueError, match="skip it with this reason"):
            label_tokens(coverage)


def test_shifts_are_numpys_roll():
    labels, shifts = np.arange(6), np.array([[1, 0], [0, 2], [1, 1]])
    moved = shift_labels(labels, (2, 3), shifts)
    for row, shift in zip(moved, shifts, strict=True):
        assert row.tolist() == np.roll(labels.reshape(2, 3), tuple(shift), (0, 1)).ravel().tolist()


def test_drawn_shifts_differ_and_never_stay():
    shifts = toroidal_shifts((12, 12), 100, np.random.default_rng(0))
    assert len({tuple(s) for s in shifts.tolist()}) == 100
    assert (shifts.sum(1) > 0).all()
    assert len(toroidal_shifts((3, 4), 200, np.random.default_rng(0))) == 11
    again = toroidal_shifts((12, 12), 100, np.random.default_rng(0))
    assert (again == shifts).all()


@pytest.mark.parametrize("n", [1, 7, 30])
def test_a_blob_is_connected_and_of_the_asked_size(n):
    blob = random_blob((5, 6), n, np.random.default_rng(n)).reshape(5, 6)
    assert blob.sum() == n
    reached = np.zeros_like(blob)
    stack = [tuple(np.argwhere(blob)[0])]
    while stack:
        row, col = stack.pop()
        if 0 <= row < 5 and 0 <= col < 6 and blob[row, col] and not reached[row, col]:
            reached[row, col] = True
            stack += [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
    assert (reached == blob).all()


def test_a_blob_larger_than_the_grid_is_refused():
    with pytest.raises(ValueError, match="1 to 30 tokens"):
        random_blob((5, 6), 31, np.random.default_rng(0))


def matched(n_in, sizes, allowed, n, seed=0):
    return size_matched(n_in, sizes, allowed, n, np.random.default_rng(seed)).tolist()


def test_size_matching_draws_from_the_nearest_quarter_of_the_allowed_candidates():
    # Of 40 sizes 0 to 39, odd ones only: the nearest quarter (5 of 20) to 8 is 7, 9, 5, 11 and one
    # of 3 and 13.
    sizes = np.arange(40)
    odd = sizes % 2 == 1
    drawn = {index for seed in range(200) for index in matched(8, sizes, odd, 3, seed)}
    assert drawn == {3, 5, 7, 9, 11, 13}
    assert all(len(set(matched(8, sizes, odd, 3, seed))) == 3 for seed in range(20))
    assert matched(8, sizes, odd, 3) == matched(8, sizes, odd, 3)


def test_size_matching_takes_at_least_as_many_as_are_drawn_and_at_most_all():
    # The quarter would be one of four.
    sizes = np.array([3, 9, 7, 20])
    assert sorted(matched(8, sizes, np.ones(4, bool), 3)) == [0, 1, 2]
    assert sorted(matched(8, sizes, np.array([True, False, False, True]), 3)) == [0, 3]
    assert matched(8, sizes, np.zeros(4, bool), 3) == []
    assert matched(8, sizes[:0], np.zeros(0, bool), 3) == []


@pytest.mark.parametrize(("resize", "visible"), [("shortest", 0.5), ("pad", 1.0), ("squash", 1.0)])
def test_what_is_visible_follows_the_crop_of_the_tower(resize, visible):
    # A picture of 12 x 16 patches: the centre square leaves out two columns at either side, here
    # half of the target.
    data = planted_data(1)
    sample = replace(data[0], codes=np.pad(data[0].codes * 0, ((0, 0), (2, 2))))
    expression = sample.expressions[0]
    sample.codes[4:8, :4] = expression.ann_ids[0] % 10
    model = PlantedModel()
    model.tower.preprocessing = Preprocessing(resize=resize)
    mask = target_mask(sample, expression)
    found = key_columns(data, sample, expression, mask, model.view(*mask.shape))
    assert found["visible_frac"] == pytest.approx(visible)
    labels = label_tokens(token_coverage(mask, model))
    assert label_columns(token_coverage(mask, model)) == {"n_in": labels.n_in, "tiny": labels.tiny}
