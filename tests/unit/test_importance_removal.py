"""Shapley values of games whose values are known."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest

from litelvlm.analysis.signals.removal import kernel_shap, ridge_on_masks, shapley_sampling

WORTH = np.array([[3.0, 1.0], [-1.0, 0.0], [0.5, 2.0], [0.0, 0.0], [2.0, -1.0]])


def additive(present):
    """Every player is worth its own row, and nobody is worth 7."""
    return present @ WORTH + 7


def glove(present):
    """Players 0 and 1 hold left gloves, player 2 the right one: a pair is worth 1."""
    return ((present[:, 0] | present[:, 1]) & present[:, 2]).astype(float)[:, None]


@pytest.mark.parametrize(
    "method",
    [lambda g, n, r: kernel_shap(g, n, 40, r), lambda g, n, r: shapley_sampling(g, n, 2, r)],
)
def test_additive_games_are_solved_exactly(method):
    np.testing.assert_allclose(method(additive, 5, np.random.default_rng(0)), WORTH, atol=1e-9)


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
    np.testing.assert_allclose(shapley_sampling(glove, 3, 4000, rng)[:, 0], exact, atol=0.02)


def test_values_sum_to_what_everybody_adds():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(6, 6))

    def game(present):
        return np.einsum("bi,ij,bj->b", present, table, present)[:, None]

    whole = game(np.ones((1, 6), dtype=bool)).item()
    assert kernel_shap(game, 6, 50, rng).sum() == pytest.approx(whole)
    assert shapley_sampling(game, 6, 3, rng).sum() == pytest.approx(whole)


def test_ridge_ranks_additive_tokens_and_shrinks():
    rng = np.random.default_rng(2)
    worth = np.linspace(-1, 1, 12)[:, None]
    found = ridge_on_masks(lambda present: present @ worth, 12, 4, 2000, rng)
    assert np.array_equal(found[:, 0].argsort(), np.arange(12))
    # With a penalty of one mean squared column, an orthogonal design would be halved.
    assert np.polyfit(worth[:, 0], found[:, 0], 1)[0] == pytest.approx(0.52, abs=0.03)
    # The same solution as least squares on the sets and one more line per token, which asks for 0.
    seen = []
    found = ridge_on_masks(lambda present: seen.append(present) or present @ worth, 12, 4, 50, rng)
    sets = seen[0] - seen[0].mean(0)
    lines = np.sqrt((sets**2).sum() / 12) * np.eye(12)
    wanted = np.concatenate([sets @ worth, np.zeros((12, 1))])
    expected = np.linalg.lstsq(np.concatenate([sets, lines]), wanted)[0]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    with pytest.raises(ValueError, match="between 1 and 11, got 12"):
        ridge_on_masks(lambda present: present @ worth, 12, 12, 10, rng)
