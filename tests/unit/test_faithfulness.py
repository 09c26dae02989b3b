"""Measures of faithfulness by hand."""

import numpy as np
import pytest
from planted_importance import RANKINGS, claims_by_id, first, planted_faithfulness

from litelvlm.analysis.api import read_rows, read_summary
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.stats.faithfulness import (
    curve_area,
    curve_points,
    eraser_counts,
    first_tokens,
    moved_round,
    rank_infidelity,
    square_removals,
)
from litelvlm.analysis.studies import faithfulness
from litelvlm.analysis.studies.faithfulness.rows import MOVED_LEADS


def claims_of(rows):
    return faithfulness.make_claims(rows, faithfulness.Config())


def tables_of(rows):
    return faithfulness.make_tables(rows, faithfulness.Config())


def test_the_first_tokens_of_an_order():
    assert first_tokens(np.array([2, 0, 1]), (0, 1, 2, 3)).tolist() == [
        [False, False, False],
        [False, False, True],
        [True, False, True],
        [True, True, True],
    ]


def test_counts_are_those_published():
    assert eraser_counts(576) == (32, 64, 128, 192, 288)
    assert set(eraser_counts(576)) <= set(curve_points(576, 36))
    assert curve_points(576, 36)[:4] == (0, 16, 32, 48)


def test_area_on_even_steps_is_rises():
    # (0 + .2 + .8 + 1 - (0 + 1) / 2) / 3 = .5
    assert curve_area((0, 48, 96, 144), np.array([0, 0.2, 0.8, 1.0])) == pytest.approx(0.5)
    # Trapezoids of unequal width: 1/4 * .5 + 3/4 * 1.
    assert curve_area((0, 1, 4), np.array([0, 1.0, 1.0])) == pytest.approx(0.875)


def test_infidelity_is_zero_for_the_ranking_that_makes_the_target():
    # The target is a sum of token worths that fall in even steps along the order, as the
    # attribution does.
    rng = np.random.default_rng(0)
    order = rng.permutation(12)
    worth = np.empty(12)
    worth[order] = 3 * np.arange(12, 0, -1)
    removed = rng.random((40, 12)) < 0.5
    values = (~removed) @ worth
    assert rank_infidelity(order, removed, values, worth.sum()) == pytest.approx(0, abs=1e-9)
    shuffled = rank_infidelity(rng.permutation(12), removed, values, worth.sum())
    # By hand for a fixed order: attribution a, drop d, best factor b = (a d) / (a a), mean squared
    # rest.
    other = np.arange(12)
    a, d = removed @ (np.arange(12, 0, -1) / 12), removed @ worth
    expected = np.mean((a * (a @ d) / (a @ a) - d) ** 2)
    assert rank_infidelity(other, removed, values, worth.sum()) == pytest.approx(expected)
    assert shuffled > 1


def test_several_stills_of_a_clip_are_rows_of_their_own(tmp_path):
    rows = read_rows(planted_faithfulness(tmp_path))
    stills = rows.assign(image_id=rows["image_id"] // 2)
    told = {claim.id: claim for claim in claims_of(stills)}
    alone = {claim.id: claim for claim in claims_of(rows)}
    for id, claim in told.items():
        assert claim.estimate == pytest.approx(alone[id].estimate)
    assert {(claim.n, claim.n_images) for claim in told.values()} == {(24, 12)}
    assert set(tables_of(stills)["measures"]["n_images"]) == {12}


def test_a_study_claims_what_its_curves_show(tmp_path):
    summary = read_summary(planted_faithfulness(tmp_path))
    claims = claims_by_id(summary)
    # Planted areas are .1 x place: reversed 0, random .2, for insertion and deletion alike.
    assert claims["F.insertion"].estimate == claims["F.insertion.moved"].estimate
    assert claims["F.insertion.random"].estimate == pytest.approx(-0.2, abs=0.01)
    assert claims["F.insertion"].verdict == "not supported"
    assert claims["F.deletion"].verdict == "supported"
    assert claims["F.deletion.random"].estimate == claims["F.deletion"].estimate
    assert claims["F.deletion.moved"].estimate == pytest.approx(0.6, abs=0.01)
    assert (
        "destroys the mask sooner than chance and smoothness explain is supported"
        in summary.interpretation
    )
    line = first(
        summary.table("measures"),
        ranking="coverage",
        target="soft_dice",
        metric="sufficiency",
        k=16,
    )
    assert line["value"] == pytest.approx(0.305, abs=0.005)
    assert faithfulness.interpret([], {}) == "Nothing was measured."
    # Planted sufficiency is .1 x place too, so rankings come in the order in which they are listed.
    pruning = summary.table("pruning")
    assert pruning[pruning["k"] == 8]["ranking"].tolist() == list(RANKINGS)
    assert pruning[pruning["k"] == 8]["place"].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_smooth_order_that_only_beats_random_order_claims_nothing(tmp_path):
    rows = read_rows(planted_faithfulness(tmp_path))
    # The same area as the order moved round the grid, which is as smooth: smoothness is all there
    # is.
    areas = rows["metric"] == "deletion_auc"
    rows.loc[areas & (rows["ranking"] == MOVED_LEADS[REVERSED]), "value"] -= 0.6
    claims = {claim.id: claim for claim in claims_of(rows)}
    assert claims["F.deletion.random"].verdict == "supported"
    assert claims["F.deletion.moved"].estimate == pytest.approx(0, abs=0.01)
    assert claims["F.deletion"].verdict != "supported"
    assert "so may any order whose neighbours are alike" in faithfulness.interpret(
        list(claims.values()), {}
    )


def test_a_moved_map_has_other_places_and_the_same_neighbours():
    rng = np.random.default_rng(0)
    values = np.arange(20.0)
    for _ in range(30):
        moved = moved_round(values, (4, 5), rng)
        assert sorted(moved) == sorted(values)
        assert not np.array_equal(moved, values)
        # Right neighbours stay right neighbours, round the grid.
        left, right = moved.reshape(4, 5), np.roll(moved.reshape(4, 5), -1, axis=1)
        assert set(map(tuple, np.stack([left, right], -1).reshape(-1, 2))) == {
            (5.0 * row + col, 5.0 * row + (col + 1) % 5) for row in range(4) for col in range(5)
        }


def test_removed_squares_lie_on_the_grid():
    removed = square_removals((6, 8), 200, np.random.default_rng(0)).reshape(-1, 6, 8)
    for square in removed:
        rows, columns = np.flatnonzero(square.any(1)), np.flatnonzero(square.any(0))
        assert len(rows) == len(columns) in (2, 3)
        assert square.sum() == len(rows) ** 2
    assert removed.any(0).all()
    with pytest.raises(ValueError, match="got 3 x 8"):
        square_removals((3, 8), 2, np.random.default_rng(0))


def test_targets_that_are_mostly_outside_the_picture_are_counted_and_left_out(tmp_path):
    rows = read_rows(planted_faithfulness(tmp_path))
    rows.loc[rows["image_id"] < 3, ["visible_frac", "value"]] = 0.1, 99.0
    claims = claims_of(rows)
    assert {claim.n_images for claim in claims} == {21}
    assert {tuple(claim.excluded.items()) for claim in claims} == {
        (("target less than half visible", 3),)
    }
    assert tables_of(rows)["curves"]["value"].max() < 1.1
    assert claims_of(rows[rows["image_id"] < 3]) == []
    assert tables_of(rows[rows["image_id"] < 3]) == {}
