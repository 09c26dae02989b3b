"""SparseVLM and SparseVLM+, with choices worked out by hand.

Raters, recycling, released and budget-matched schedules.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_views import View

from litelvlm.pruning import get_pruner
from litelvlm.pruning.layers.rated_drops import falling_counts
from litelvlm.pruning.layers.state import text_raters
from litelvlm.pruning.methods.sparsevlm import candidate_count, density_peaks, recycled_count

BOTH = ("sparsevlm", "sparsevlm_plus")


def runs(schedule):
    """Counts of a schedule as (tokens, layers) runs."""
    return [(count, schedule.count(count)) for count in dict.fromkeys(schedule)]


def test_raters_by_hand():
    visual = torch.tensor([[math.log(2), 0.0], [0.0, math.log(3)]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    # Softmax rows (2 1 1) / 4 and (1 3 1) / 5; means .35 .425 .225 against 1 / 3.
    assert text_raters(visual, text).tolist() == [0, 1]
    # With the second visual token alone only its word is above 1 / 3.
    assert text_raters(visual[1:], text).tolist() == [1]
    # Nothing stands out.
    assert text_raters(torch.zeros(3, 2), text).tolist() == [0, 1, 2]


def test_recycled_counts_by_hand():
    # 0.3 * 276 = 82.8: 83 to 9; 0.3 * 109 = 32.7: 33 to 4; 0.3 * 94 = 28.2: 29 to 3; one token is
    # recycled to itself.
    assert [(candidate_count(n), recycled_count(n)) for n in (276, 109, 94, 1, 0)] == [
        (83, 9), (33, 4), (29, 3), (1, 1), (0, 0),
    ]  # fmt: skip


def test_density_peaks_by_hand():
    # The two nearest of every point are 0 and 1 away: equal densities, so the first counts as
    # densest. Distances to a denser point: 12 (the largest), 1, 9, 1, 1: peaks are 0 and 10.
    weights, peaks = density_peaks(torch.tensor([[0.0], [1], [10], [11], [12]]), 2)
    assert peaks.tolist() == [0, 2]
    assert torch.allclose(
        weights, torch.tensor([[1 / 2, 1 / 2, 0, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]])
    )
    # Halved squares of nearest distances 4 1 1 .25 .25: densities e^-2, e^-.5 (2), e^-.125 (2).
    # Times distance to a denser point: .14 * 2, .61 * 8, .61 * 1, .88 * 10.5, .88 * .5: peaks are
    # 10 and 2.
    weights, peaks = density_peaks(torch.tensor([[0.0], [2], [3], [10], [10.5]]), 2)
    assert peaks.tolist() == [3, 1]
    assert torch.allclose(
        weights, torch.tensor([[0, 0, 0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3, 0, 0]])
    )
    # Distances are divided by sqrt(d): four equal coordinates are like one.
    again = density_peaks(torch.tensor([[0.0], [2], [3], [10], [10.5]]).expand(-1, 4), 2)
    assert torch.equal(again[0], weights)
    # Equal points: the earliest are the peaks, the others join the first.
    weights, peaks = density_peaks(torch.ones(4, 3), 2)
    assert peaks.tolist() == [0, 1]
    assert torch.allclose(weights, torch.tensor([[1 / 3, 0, 1 / 3, 1 / 3], [0, 1, 0, 0]]))


@given(st.integers(0, 10_000), st.integers(1, 30), st.data())
@settings(deadline=None, max_examples=20)
def test_every_point_is_averaged_once_and_peaks_stay_apart(seed, n_points, data):
    k = data.draw(st.integers(1, n_points))
    # Few different values, so that many points coincide.
    points = torch.randint(
        0, 4, (n_points, 2), generator=torch.Generator().manual_seed(seed)
    ).float()
    weights, peaks = density_peaks(points, k)
    assert torch.allclose(weights.sum(1), torch.ones(k))
    assert (weights > 0).sum(0).tolist() == [1] * n_points
    assert len(set(peaks.tolist())) == k
    assert (weights[range(k), peaks] > 0).all()


@pytest.mark.parametrize(
    ("name", "budget", "counts", "average"),
    [
        # With 9, 4, 3 recycled: 3 * 576 + 4 * 309 + 9 * 204 + 16 * 113 = 6608.
        ("sparsevlm", 192, (309, 204, 113), 206.5),
        # 3 * 576 + 4 * 312 + 9 * 117 + 16 * 39 = 4653.
        ("sparsevlm", 128, (312, 117, 39), 145.40625),
        # 3 * 576 + 4 * 82 + 9 * 32 + 16 * 18 = 2632.
        ("sparsevlm", 64, (82, 32, 18), 82.25),
        ("sparsevlm_plus", 192, (300, 200, 118), 206.75),
        ("sparsevlm_plus", 64, (66, 34, 20), 81.8125),
    ],
)
def test_released_counts_process_more_than_they_are_called(name, budget, counts, average):
    schedule = get_pruner(name, preset="released").schedule(budget, 576, 32)
    assert runs(schedule) == list(zip((576, *counts), (3, 4, 9, 16), strict=True))
    assert sum(schedule) / 32 == average


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("budget", "n_tokens", "n_layers", "options"),
    [(100, 576, 32, {}), (192, 144, 32, {}), (128, 576, 4, {}), (192, 576, 32, {"layers": (1, 2)})],
)
def test_released_counts_are_refused_where_there_are_none(
    name, budget, n_tokens, n_layers, options
):
    pruner = get_pruner(name, preset="released", **options)
    with pytest.raises(
        ValueError, match=r"released counts for 576 tokens.*192, 128, 96, 64.*take counts='budget'"
    ):
        pruner.schedule(min(budget, n_tokens - 1), n_tokens, n_layers)


def test_falling_counts_by_hand():
    # x (4 + 9 * .6 + 16 * .36) = 15.16 x = 32 * 192 - 3 * 576 = 4416: 291.3, 174.8, 104.9 are
    # rounded down; 4394 are spent and 22 left: 5 more in each of the first 4 layers.
    assert falling_counts(4416, 576, [4, 9, 16]) == (296, 174, 104)
    # 15.16 x = 320: 21.1, 12.7, 7.6; 84 + 108 + 112 = 304; 4 more.
    assert falling_counts(320, 576, [4, 9, 16]) == (25, 12, 7)
    # Three runs of one layer, no more than 10: 10 + 10 + 10 * .9 for first = 25: 10, 10, 9.
    assert falling_counts(29, 10, [1, 1, 1]) == (10, 10, 9)
    assert falling_counts(0, 10, [1, 1]) == falling_counts(-5, 10, [1, 1]) == (0, 0)


@given(st.integers(1, 600), st.lists(st.integers(1, 16), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=40)
def test_falling_counts_fall_and_spend_what_there_is(n_tokens, widths, data):
    left = data.draw(st.integers(1, n_tokens * sum(widths)))
    counts = falling_counts(left, n_tokens, widths)
    assert list(counts) == sorted(counts, reverse=True)
    assert 0 <= counts[-1] <= counts[0] <= n_tokens
    unspent = left - sum(w * c for w, c in zip(widths, counts, strict=True))
    assert 0 <= unspent < sum(widths)


@pytest.mark.parametrize(
    ("budget", "layers", "counts", "smallest"),
    [
        (192, None, (296, 174, 104), 0),
        # x = 2368 / 15.16: 156.2, 93.7, 56.2; 11 left.
        (128, None, (158, 93, 56), 0),
        (64, None, (25, 12, 7), 0),
        # The last drop leaves .36 x >= 1: x = 2.8, 15.16 x = 42.1, and (3 * 576 + 42.1) / 32 =
        # 55.3. With drops before layers 1, 5 and 9 it is x (4 + 4 * .6 + 23 * .36) = 14.68 x =
        # 40.8, and (576 + 40.8) / 32 = 19.3.
        (32, None, None, 56),
        # x (4 + 4 * .6 + 23 * .36) = 448: 30.5, 18.3, 10.99; 120 + 72 + 230 = 422; 6 more in each
        # of 4 layers.
        (32, (1, 5, 9), (36, 18, 10), 0),
    ],
)
def test_budget_matched_schedules_at_full_size(budget, layers, counts, smallest):
    pruner = get_pruner("sparsevlm_plus", layers=layers)
    if counts is None:
        with pytest.raises(
            ValueError, match=f"smallest budget is {smallest}, or 20 with drops at earlier layers"
        ):
            pruner.schedule(budget, 576, 32)
        return
    schedule = pruner.schedule(budget, 576, 32)
    assert [count for count, _ in runs(schedule)] == [576, *counts]
    assert abs(sum(schedule) / 32 - budget) < 0.15
    assert get_pruner("sparsevlm", layers=layers).schedule(budget, 576, 32) == schedule


def test_the_miniatures_schedules():
    # Layers 3, 7, 16 of 32 are 1 (0.4 rounded up to the first), 1 and 2 of 4. 4 * 48 - 144 = 48 = x
    # (1 + 2 * .6): 21.8 and 13.1; one more in the first.
    for name in BOTH:
        assert get_pruner(name).drop_layers(4) == (1, 2)
        assert get_pruner(name).schedule(48, 144, 4) == (144, 22, 13, 13)
        with pytest.raises(ValueError, match="leave too few for the others; the smallest budget"):
            get_pruner(name).schedule(32, 144, 4)
    # 144 + 1 + 1 + 1 are 36.75 on average. With recycling one kept of 144 makes 1 + floor((42 + 1)
    # / 10) + 1 = 6, so 4 * 39 - 144 = 12 = x 2.2 (5.5, 3.3; 6 in the first, as nothing else
    # divides) is the first that works.
    assert get_pruner("sparsevlm_plus").schedule(37, 144, 4) == (144, 2, 1, 1)
    assert get_pruner("sparsevlm").schedule(39, 144, 4) == (144, 6, 3, 3)
    with pytest.raises(ValueError, match=r"sparsevlm cannot average 38 .* smallest budget is 39"):
        get_pruner("sparsevlm").schedule(38, 144, 4)


def test_sparsevlm_by_hand():
    # Six visual tokens down to two. Keeping two would recycle 4 to 1, three in all; so one is kept,
    # and of the other five floor(1.5) + 1 = 2 become 1.
    attention = torch.tensor([[[0.0, 0.1, 0.3, 0.05, 0.2, 0.25, 0.1, 0.0]]])
    states = torch.arange(8.0)[:, None]
    view = View(attention, queries=(7,), n_visual=6, hidden_states=states)
    kept = get_pruner("sparsevlm").reduce(view, view, 2)
    # Best is place 1; next are 4 (.25) and 3 (.2); both are equally dense, so the better one is the
    # centre.
    assert kept.places.tolist() == [1]
    assert kept.weights.tolist() == [[0, 0, 0, 0.5, 0.5, 0]]
    assert kept.stand_for.tolist() == [4]
    assert (kept.weights @ states[1:7]).tolist() == [[4.5]]
    # The paper adds up what the code averages.
    added = get_pruner("sparsevlm", recycled="sum").reduce(view, view, 2)
    assert added.weights.tolist() == [[0, 0, 0, 1, 1, 0]]
    assert added.places.tolist() == kept.places.tolist()


def turned(degrees):
    """Rotary cosines and sines of one frequency, each twice."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return angles.cos()[:, None].expand(-1, 2), angles.sin()[:, None].expand(-1, 2)


def test_sparsevlm_plus_by_hand():
    # Token 3 asks at 60 degrees about visual tokens at 0 and 60: g is cos 60 = .5 and cos 0 = 1.
    rotary = turned([0.0, 0.0, 60.0, 60.0])
    attention = torch.tensor([[[0.0, 0.3, 0.1, 0.0]], [[0.0, 0.1, 0.4, 0.0]]])
    view = View(attention, queries=(3,), n_visual=2, rotary=rotary)
    one_head = get_pruner("sparsevlm_plus", head_share=0.5)
    # Corrected heads are (.6, .1) and (.2, .4); the first has the larger sum, .7 against .6.
    assert one_head.score(view, view).tolist() == pytest.approx([0.6, 0.1])
    assert one_head.reduce(view, view, 1).places.tolist() == [0]
    # Both heads: (.4, .25). Without the correction it would be (.2, .25).
    assert get_pruner("sparsevlm_plus", head_share=1.0).score(view, view).tolist() == pytest.approx(
        [0.4, 0.25]
    )
    assert get_pruner("sparsevlm").score(view, view).tolist() == pytest.approx([0.2, 0.25])
    # 14 of 32 heads are .875 of 2: one.
    assert get_pruner("sparsevlm_plus").score(view, view).tolist() == pytest.approx([0.6, 0.1])


def test_a_vanishing_or_negative_rotary_product_does_not_turn_the_ranking_around():
    view = View(
        torch.tensor([[[0.0, 0.2, 0.1, 0.0]]]),
        queries=(3,),
        n_visual=2,
        rotary=turned([0.0, -120, 90, 0]),
    )
    # cos 120 = -.5 and cos 90 = 0 count as .05.
    assert get_pruner("sparsevlm_plus").score(view, view).tolist() == pytest.approx([4.0, 2.0])


def test_128_channels_keep_a_positive_rotary_product():
    angles = torch.arange(800.0)[:, None] * 10_000 ** (-torch.arange(64.0) / 64)
    assert angles.cos().mean(1).min() > 0.09


def test_wrong_fields_are_refused():
    with pytest.raises(ValueError, match=r"head_share 0.0 is not in \(0, 1\]"):
        get_pruner("sparsevlm_plus", head_share=0.0)
    with pytest.raises(ValueError, match="unknown counts 'exact'"):
        get_pruner("sparsevlm", counts="exact")
