"""Shapley values of games whose values are known."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest

from litelvlm.analysis.signals.sampled import kernel_shap

WORTH = np.array([[3.0, 1.0], [-1.0, 0.0], [0.5, 2.0], [0.0, 0.0], [2.0, -1.0]])


def additive(present):
    """Every player is worth its own row, and nobody is worth 7."""
    return present @ WORTH + 7


def glove(present):
    """Players 0 and 1 hold left gloves, player 2 the right one: a pair is worth 1."""
    return ((present[:, 0] | present[:, 1]) & present[:, 2]).astype(float)[:, None]


def test_additive_games_are_solved_exactly():
    found = kernel_shap(additive, 5, 40, np.random.default_rng(0))
    np.testing.assert_allclose(found, WORTH, atol=1e-9)


def test_the_glove_game():
    # Orders 012 021 102 120 201 210: player 0 completes a pair in 201 only, 1 in 210 only, 2 in the
    # other four.
    exact = np.array([1 / 6, 1 / 6, 4 / 6])
    gains = np.zeros(3)
    for order in permutations(range(3)):
        present = np.zeros((4, 3), dtype=bool)
        for step, player in enumerate(order):
            present[step + 1 :, player] = True
        gains[list(order)] += np.diff(glove(present)[:, 0])
    np.testing.assert_allclose(gains / factorial(3), exact)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(kernel_shap(glove, 3, 4000, rng)[:, 0], exact, atol=0.02)


def test_values_sum_to_what_everybody_adds():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(6, 6))

    def game(present):
        return np.einsum("bi,ij,bj->b", present, table, present)[:, None]

    whole = game(np.ones((1, 6), dtype=bool)).item()
    assert kernel_shap(game, 6, 50, rng).sum() == pytest.approx(whole)
