"""What the explorer packs can be read back.

Which expressions it shows follows from their scores.
"""

import base64

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from litelvlm.analysis.pages.explore.data import choose_expressions, start
from litelvlm.analysis.pages.explore.pack import (
    pack_bits,
    pack_levels,
    pack_mask,
    pack_order,
    pack_picture,
)
from litelvlm.analysis.signals.word_attention import group_pieces
from litelvlm.data.safe.rasterise import decode_mask


def unpacked(counts, width, height):
    return decode_mask({"size": [height, width], "counts": counts}, height, width)


def test_flags_take_a_bit_each_lowest_first():
    flags = np.zeros(10, dtype=bool)
    flags[[0, 3, 9]] = True
    # 1 + 8 in the first byte, the tenth flag is the second bit of the second
    assert list(base64.b64decode(pack_bits(flags))) == [9, 2]


def test_numbers_come_back_within_a_step_of_their_range():
    values = np.array([[-2.0, 0.5], [3.0, 0.25]])
    packed = pack_levels(values)
    steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2")
    assert (packed["low"], packed["high"]) == (-2.0, 3.0)
    # (0.5 + 2) / 5 * 65535 = 32767.5, to even; 0.45 * 65535 = 29490.75
    assert steps.tolist() == [0, 32768, 65535, 29491]
    np.testing.assert_allclose(-2 + steps.astype(float) * 5 / 65535, values.ravel(), atol=5 / 65535)
    assert list(base64.b64decode(pack_levels(np.full(3, 1.5))["values"])) == [0] * 6


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        pack_levels(np.array([0.0, np.nan]))


def test_a_ranking_is_written_little_endian():
    assert list(base64.b64decode(pack_order(np.array([2, 0, 300])))) == [2, 0, 0, 0, 44, 1]


def test_a_mask_comes_back_at_the_size_of_the_picture():
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 2:5] = True
    np.testing.assert_array_equal(unpacked(pack_mask(mask, (6, 4)), 6, 4), mask)
    half = unpacked(pack_mask(np.kron(mask, np.ones((2, 2))) > 0, (6, 4)), 6, 4)
    np.testing.assert_array_equal(half, mask)


def test_a_picture_is_made_smaller_and_never_larger():
    data, size = pack_picture(Image.new("RGB", (640, 480)), longest=320)
    assert size == (320, 240)
    assert data.startswith("data:image/jpeg;base64,")
    assert pack_picture(Image.new("RGB", (100, 80)), longest=320)[1] == (100, 80)


def test_no_more_expressions_are_chosen_than_there_are():
    rows = pd.DataFrame({"method": "m", "budget": 8, "sent_id": [0, 1], "iou": [0.1, 0.2]})
    assert choose_expressions(rows, "m", 5) == [0, 1]


def test_a_word_cut_off_by_the_tower_keeps_its_pieces():
    assert group_pieces(["<s>", "red</w>", "circ", "<e>"]) == (
        ["[SOS]", "red", "circ", "[EOS]"],
        [0, 1, 2, 3],
    )


@pytest.mark.parametrize("lacking", ["a", "b"])
def test_it_starts_with_the_first_expression_where_a_method_has_no_rows(lacking):
    rows = [(id, m, k, 0.5) for id in (5, 7) for m, k in (("none", 9), ("a", 2), ("b", 2))]
    frame = pd.DataFrame(rows, columns=["sent_id", "method", "budget", "iou"]).assign(seed=0)
    found = start(frame[frame["method"] != lacking], [7, 5], ("a", "b"))
    assert (found["sample"], found["budget"]) == (0, 2)
