"""What the explorer packs can be read back.

Which expressions it shows follows from their scores.
"""

import base64
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from litelvlm.analysis.pages.explore.data import LONGEST, choose_expressions
from litelvlm.analysis.pages.explore.pack import (
    pack_bits,
    pack_levels,
    pack_mask,
    pack_order,
    pack_picture,
)
from litelvlm.analysis.pages.explore.scores import SIGNALS, pack_scores
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


def test_equal_numbers_have_no_range_and_still_come_back():
    packed = pack_levels(np.full(3, 1.5))
    assert (packed["low"], packed["high"]) == (1.5, 1.5)
    assert list(base64.b64decode(packed["values"])) == [0] * 6


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


def test_fifty_samples_of_the_full_grid_stay_below_twelve_megabytes():
    rng = np.random.default_rng(0)
    # Coloured specks of four by four pixels on the page, as many bytes as a busy photograph.
    specks = rng.integers(64, 192, (90, 120, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    picture, (width, height) = pack_picture(Image.fromarray(specks), LONGEST)
    assert len(picture) > 60_000
    y, x = np.mgrid[:height, :width]
    ragged = np.hypot(y - 180, x - 240) < 120 + 12 * np.sin(np.arctan2(y - 180, x - 240) * 24)
    scores = pack_scores(torch.from_numpy(rng.normal(size=576)))
    half = rng.permutation(576) < 288
    roles = {"similarity": pack_bits(half), "context": pack_bits(~half)}
    selection = {
        "mask": pack_mask(ragged, (width, height)),
        "iou": 0.1234,
        "roles": roles,
        "placeless": 0,
    }
    view = {
        "id": 123456,
        "text": "x" * 80,
        "image": picture,
        "size": [width, height],
        "truth": selection["mask"],
        "unpruned": selection,
        "selections": {
            f"method {i}": dict.fromkeys(("192", "128", "64", "32"), selection) for i in range(10)
        },
        "scores": {f"name {i}": scores for i in range(10 + len(SIGNALS))},
        # 12 layers, 12 heads, 24 words
        "words": {"texts": ["word"] * 24, "attention": pack_levels(rng.random(12 * 12 * 24))},
    }
    assert 50 * len(json.dumps(view, separators=(",", ":"))) < 12e6
