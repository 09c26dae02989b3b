"""Tests of claims: their level under the null, and the same numbers from scipy and statsmodels."""

import numpy as np
import pytest
from planted import clustered
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from litelvlm.analysis.stats.significance import (
    benjamini_hochberg,
    holm,
    paired_swap_test,
)
from litelvlm.analysis.stats.student import student_mean


def test_swap_test_is_uniform_under_the_null():
    rng = np.random.default_rng(9)
    p_values = []
    for run in range(400):
        a, ids = clustered(rng, n_images=25, per_image=3)
        b, _ = clustered(rng, n_images=25, per_image=3)
        p_values.append(paired_swap_test(a[:, None], b[:, None], ids, 499, run).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_swap_test_agrees_with_scipy_and_finds_planted_gains():
    rng = np.random.default_rng(10)
    a, b = rng.normal(0.4, 1, 12), rng.normal(0, 1, 12)
    ours = paired_swap_test(a[:, None], b[:, None], np.arange(12), 20_000)
    exact = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", vectorized=True
    )
    assert ours.statistic == pytest.approx(exact.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(exact.pvalue, abs=0.015)
    union = rng.integers(50, 100, (40, 1)).astype(float)
    better = paired_swap_test(np.c_[union * 0.8, union], np.c_[union * 0.5, union], np.arange(40))
    assert better.statistic == pytest.approx(0.3)
    assert better.p_value < 0.001
    same = paired_swap_test(np.c_[union, union], np.c_[union, union], np.arange(40))
    assert same.p_value == 1.0


def test_equivalence_takes_both_sides():
    rng = np.random.default_rng(12)
    difference = rng.normal(0.001, 0.01, 200)
    lower = stats.ttest_1samp(difference, -0.01, alternative="greater").pvalue
    upper = stats.ttest_1samp(difference, 0.01, alternative="less").pvalue
    assert student_mean(difference).p_equivalent(0.01) == pytest.approx(
        max(lower, upper), abs=1e-10
    )
    assert student_mean(difference + 0.02).p_equivalent(0.01) > 0.99
    with pytest.raises(ValueError, match="positive margin"):
        student_mean(difference).p_equivalent(0.0)


def test_equivalence_equals_statsmodels():
    rng = np.random.default_rng(19)
    for centre in (-0.02, 0.0, 0.004, 0.011):
        difference = rng.normal(centre, 0.05, 60)
        theirs = DescrStatsW(difference).ttost_mean(-0.01, 0.01)[0]
        assert student_mean(difference).p_equivalent(0.01) == pytest.approx(theirs, abs=1e-10)


def test_corrections_equal_statsmodels():
    rng = np.random.default_rng(20)
    for size in (1, 2, 8, 50):
        p_values = rng.random(size) ** 3
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-10)
        assert benjamini_hochberg(p_values) == pytest.approx(
            multipletests(p_values, method="fdr_bh")[1], abs=1e-10
        )


def test_equal_p_values_get_equal_adjustments():
    assert holm(np.array([0.02, 0.02, 0.02])) == pytest.approx([0.06] * 3)
    with pytest.raises(ValueError, match="p-values: not a finite number at sample 1"):
        holm(np.array([0.1, np.nan]))
