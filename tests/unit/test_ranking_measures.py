"""Ranking measures against scipy, hand-worked answers and planted scores."""

import numpy as np
import pytest
from scipy import stats

from litelvlm.analysis.stats.ranking import (
    at_budgets,
    auroc,
    auroc_of_rows,
    reversal_index,
    score_contrast,
    tie_fraction,
)


def test_auroc_equals_scipy_mann_whitney_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 8, 60).astype(float)
        inside = rng.random(60) < 0.3
        outside = ~inside & (rng.random(60) < 0.8)
        u = stats.mannwhitneyu(scores[inside], scores[outside]).statistic
        assert (
            abs(float(auroc(scores, inside, outside)) - u / (inside.sum() * outside.sum())) < 1e-10
        )


def test_auroc_of_rows_is_auroc_of_each_row():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, (20, 30)) / 3.0
    for _ in range(5):
        kind = rng.integers(0, 3, 30)  # in, out, neither
        inside, outside = kind == 0, kind == 1
        expected = [float(auroc(row, inside, outside)) for row in scores]
        assert auroc_of_rows(scores, inside, outside).tolist() == expected
    with pytest.raises(ValueError, match="without tokens on either side"):
        auroc_of_rows(scores, inside, np.zeros(30, dtype=bool))
    with pytest.raises(ValueError, match="not a finite number"):
        auroc_of_rows(np.full((1, 30), np.nan), inside, outside)


def test_auroc_by_hand_and_reversal_index():
    # In: 1, 3. Out: 2, 3, 4. Pairs won: (1: 0, 0, 0), (3: 1, 0.5, 0) -> 1.5 / 6.
    inside = np.array([True, True, False, False, False])
    area = auroc(np.array([1.0, 3.0, 2.0, 3.0, 4.0]), inside, ~inside)
    assert float(area) == pytest.approx(0.25)
    assert float(reversal_index(area)) == pytest.approx(0.5)


def test_constant_scores_are_at_chance():
    inside = np.arange(10) < 3
    scores = np.zeros(10)
    assert float(auroc(scores, inside, ~inside)) == 0.5
    assert tie_fraction(scores) == 1.0


def test_auroc_of_many_masks_is_that_of_each():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=30)
    masks = rng.random((5, 30)) < 0.4
    assert auroc(scores, masks, ~masks) == pytest.approx(
        [float(auroc(scores, m, ~m)) for m in masks], abs=1e-12
    )


def test_auroc_refuses_nan_and_empty_sides():
    inside = np.array([True, False, False])
    with pytest.raises(ValueError, match="sample 1"):
        auroc(np.array([0.0, np.nan, 1.0]), inside, ~inside)
    with pytest.raises(ValueError, match="without tokens outside"):
        auroc(np.zeros(3), np.ones(3, bool), np.zeros(3, bool))


def test_score_contrast_has_the_sign_of_the_gap_and_no_scale():
    rng = np.random.default_rng(0)
    scores, inside = rng.normal(size=30), np.arange(30) < 8
    found = score_contrast(scores, inside, ~inside)
    gap = scores[inside].mean() - scores[~inside].mean()
    assert found == pytest.approx(gap / np.ptp(scores))
    assert score_contrast(100 * scores - 7, inside, ~inside) == pytest.approx(found)
    assert score_contrast(-scores, inside, ~inside) == pytest.approx(-found)
    assert score_contrast(np.ones(30), inside, ~inside) == 0.0
    with pytest.raises(ValueError, match="8 inside and 0 outside"):
        score_contrast(scores, inside, inside & ~inside)


def test_recall_at_a_budget_by_hand():
    # Eligible tokens 0-5, token 6 ignored. In: 0, 1, 4. Order of scores: 6 (ignored), 1, 0, 2, 3,
    # 4, 5.
    scores = np.array([2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 0.0])
    inside = np.array([1, 1, 0, 0, 1, 0, 0], bool)
    outside = np.array([0, 0, 1, 1, 0, 1, 0], bool)
    result, all_tokens = at_budgets(scores, inside, outside, [3, 99])
    assert result["rec_low"] == pytest.approx(2 / 3)
    assert result["rec_high"] == pytest.approx(1 / 3)
    assert result["chance_rec"] == pytest.approx(0.5)
    assert all_tokens["rec_low"] == 1.0


def test_hypergeometric_chance_is_the_mean_of_random_selections():
    rng = np.random.default_rng(2)
    inside = np.arange(50) < 12
    results = [at_budgets(rng.normal(size=50), inside, ~inside, [10])[0] for _ in range(3000)]
    assert np.mean([r["rec_low"] for r in results]) == pytest.approx(
        results[0]["chance_rec"], abs=0.01
    )


def test_ties_at_the_budget_go_to_the_lower_index():
    inside = np.array([False, False, True, True])
    assert at_budgets(np.zeros(4), inside, ~inside, [2])[0]["rec_low"] == 0.0
