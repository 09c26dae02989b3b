"""Outlines along pixel borders rasterise back to exactly the mask."""

import numpy as np
import pytest

from litelvlm.data.outlines import outline_polygons
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.data.worlds.shapes.scenes import sample_scene


def picture(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def test_known_outlines():
    assert outline_polygons(picture("....", ".##.", "....")) == [[1, 1, 3, 1, 3, 2, 1, 2]]
    # An L: (0,0) (1,0) (1,1) (2,1) (2,2) (0,2).
    assert outline_polygons(picture("#.", "##")) == [[0, 0, 1, 0, 1, 1, 2, 1, 2, 2, 0, 2]]
    assert outline_polygons(picture("..", "..")) == []


def test_parts_that_touch_at_a_corner_stay_apart():
    assert outline_polygons(picture("#.", ".#")) == [
        [0, 0, 1, 0, 1, 1, 0, 1],
        [1, 1, 2, 1, 2, 2, 1, 2],
    ]
    assert outline_polygons(picture(".#", "#.")) == [
        [1, 0, 2, 0, 2, 1, 1, 1],
        [0, 1, 1, 1, 1, 2, 0, 2],
    ]


def test_a_hole_cannot_be_a_polygon():
    assert outline_polygons(picture("###", "#.#", "###")) is None
    # A hole that is open at a corner only is a hole, too, for parts joined by edges.
    assert outline_polygons(picture("###", "#.#", "##.")) is not None


@pytest.mark.parametrize("level", ["easy", "hard"])
def test_scene_masks_come_back_exactly(level):
    n = 0
    for seed in range(40):
        for mask in sample_scene(seed, level).masks:
            polygons = outline_polygons(mask)
            if polygons is not None:
                assert np.array_equal(decode_mask(polygons, *mask.shape), mask.astype(np.uint8))
                n += 1
    assert n > 100
