"""Pixel counts against counting by hand."""

import numpy as np
import torch
from hypothesis import strategies as st

from litelvlm.metrics.pixels import count_pixels, intersection_union

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
