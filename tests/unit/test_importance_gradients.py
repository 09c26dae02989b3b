"""captum's signals on a toy whose gradients are worked out by hand, and their token values."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from litelvlm.analysis.signals.gradients import (
    inner_layers,
    input_signals,
    integrated_gradients,
    layer_signals,
)
from litelvlm.models.glamm.attribution.targets import Targets


class Doubling(nn.Module):
    def forward(self, states):
        return 2 * states


class Toy(Targets):
    """y1 = sum of a x, y2 = sum of x^2, y3 = product of the token sums.

    The layer doubles, which y takes back.
    """

    batch_size = 7

    def __init__(self, visual):
        self.visual, self.start = visual, 0
        self.weights = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
        self.model = nn.Module()
        self.model.llama = SimpleNamespace(model=SimpleNamespace(layers=[Doubling()]))

    def __call__(self, visual):
        x = self.model.llama.model.layers[0](visual) / 2
        linear, square = (self.weights * x).sum((1, 2)), (x**2).sum((1, 2))
        return torch.stack([linear, square, x.sum(2).prod(1)], dim=1)


@pytest.fixture
def toy():
    return Toy(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))


def test_saliency_and_input_x_gradient_by_hand(toy):
    # y1: gradient a, norms sqrt 5 and sqrt 9.25; products 1 - 4 and 1.5 - 3.
    linear = input_signals(toy, 0)
    np.testing.assert_allclose(linear["saliency"], [5**0.5, 9.25**0.5], rtol=1e-6)
    np.testing.assert_allclose(linear["input_x_gradient"], [-3, -1.5], rtol=1e-6)
    # y2: gradient 2 x, products 2 x^2 summed: 2 + 8 and 18 + 2.
    np.testing.assert_allclose(input_signals(toy, 1)["input_x_gradient"], [10, 20], rtol=1e-6)


def test_inner_gradient_x_activation_by_hand(toy):
    # Behind the layer states are 2 x and the gradient is x, so the product is that of the input.
    np.testing.assert_allclose(layer_signals(toy, 1, [0])[0], [10, 20], rtol=1e-6)
    assert inner_layers(32) == (0, 8, 16, 24)
    assert inner_layers(1) == ()


def test_integrated_gradients_by_hand_and_complete(toy):
    # y3 = s1 s2 along the ray from 0: each token gets half of the product, 3 * 2 / 2.
    found = integrated_gradients(toy, 2, torch.zeros(2, 2), steps=8)
    np.testing.assert_allclose(found.values, [3, 3], rtol=1e-5)
    assert found.error < 1e-5
    # y2 from the baseline b: sum of x^2 - b^2.
    shifted = integrated_gradients(toy, 1, torch.ones(2, 2), steps=8, batch_size=3)
    np.testing.assert_allclose(shifted.values, [3, 8], rtol=1e-5)


def test_a_poor_integral_is_told_by_its_error():
    toy = Toy(torch.ones(1, 2))
    toy.__class__ = type(
        "Steep", (Toy,), {"__call__": lambda self, x: (20 * (x.sum(2) - 1)).sigmoid().repeat(1, 3)}
    )
    assert integrated_gradients(toy, 0, torch.zeros(1, 2), steps=2).error > 0.05
    assert integrated_gradients(toy, 0, torch.zeros(1, 2), steps=64).error < 0.05
    assert integrated_gradients(toy, 0, torch.ones(1, 2)).error == float("inf")
