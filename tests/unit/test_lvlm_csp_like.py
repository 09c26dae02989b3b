"""LVLM_CSP-like: representatives, schedules and the last choice by hand."""

import pytest
from layer_views import ATTENTION, View

from litelvlm.pruning import get_pruner


@pytest.mark.parametrize(
    ("budget", "layers", "counts"),
    [
        # 32 * 192 - 6 * 576 = 2688 = 8 C + 18 P with C = 2 P: P = 79.06; 2688 - 18 * 79 = 1266 = 8
        # * 158 + 2.
        (192, None, (158, 576, 79)),
        # 640 / 34 = 18.8; (640 - 18 * 18) / 8 = 39.5.
        (128, None, (39, 576, 18)),
        # One layer with all: 32 * 64 - 576 = 1472; / (16 + 23) = 37.7; (1472 - 23 * 37) / 8 = 77.6.
        (64, (8, 9), (77, 576, 37)),
        # 448 / 39 = 11.5; (448 - 23 * 11) / 8 = 24.4.
        (32, (8, 9), (24, 576, 11)),
    ],
)
def test_schedules_at_full_size(budget, layers, counts):
    pruner = get_pruner("lvlm_csp_like", layers=layers)
    first, second = layers or (8, 14)
    schedule = pruner.schedule(budget, 576, 32)
    early, middle, late = counts
    assert schedule == (early,) * first + (middle,) * (second - first) + (late,) * (32 - second)
    assert 0 <= budget - sum(schedule) / 32 < 8 / 32


def test_the_miniatures_schedules():
    # 8 and 14 of 32 are 1 and 2 (1.75) of 4: 4 * 48 - 144 = 48 = C + 2 P.
    pruner = get_pruner("lvlm_csp_like")
    assert pruner.schedule(48, 144, 4) == (24, 144, 12, 12)
    # 144 + C + 2 P with P = 1 needs 4: C + 2 P = 4 T - 144.
    assert pruner.schedule(37, 144, 4) == (2, 144, 1, 1)
    for budget in (36, 32, 16, 8):
        with pytest.raises(
            ValueError, match="leave too few for the others; the smallest budget is 37"
        ):
            pruner.schedule(budget, 144, 4)
    # 572 - 144 = 428 = C + 2 P would make C 214; with all 144 of them, P = 142.
    assert pruner.schedule(143, 144, 4) == (144, 144, 142, 142)


def test_choices_by_hand():
    pruner = get_pruner("lvlm_csp_like")
    # Four visual tokens: i * floor(4 / 3) and i * floor(4 / 2).
    first = View(ATTENTION, index=0, hidden_states=ATTENTION[0])
    assert pruner.reduce(first, first, 3).places.tolist() == [0, 1, 2]
    assert pruner.reduce(first, first, 2).places.tolist() == [0, 2]
    # Later by attention of token 5, mean of the heads: .15 .15 .15 .3.
    later = View(ATTENTION, index=2)
    assert pruner.reduce(later, later, 2).places.tolist() == [0, 3]


@pytest.mark.parametrize("layers", [(1,), (1, 2, 3), (0, 2)])
def test_other_than_two_later_layers_are_refused(layers):
    with pytest.raises(
        ValueError, match=r"layers \[.*\] must be two layers from 1 to 3: all tokens from the first"
    ):
        get_pruner("lvlm_csp_like", layers=layers).schedule(48, 144, 4)
