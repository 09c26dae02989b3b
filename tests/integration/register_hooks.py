"""Probes that hook into blocks, asked of a model and of one whose blocks run in another way."""

from typing import NamedTuple

from torch import Tensor

from litelvlm.clip.probes.registers import register_neurons, with_spare_register


class SpareRegister(NamedTuple):
    """States with a spare register: of the plain model, of the other, and without any neuron."""

    plain: Tensor
    found: Tensor
    untouched: Tensor


def spare_register(model, other, picture):
    """Both find the same register neurons; what their hooks then give."""
    pixels = [model.tower.pixel_values(picture)]
    assert register_neurons(other.tower, pixels, 3, 1.0) == register_neurons(
        model.tower, pixels, 3, 1.0
    )
    neurons = {1: [0, 5, 9]}
    return SpareRegister(
        with_spare_register(model.tower, pixels[0], neurons),
        with_spare_register(other.tower, pixels[0], neurons),
        with_spare_register(model.tower, pixels[0], {}),
    )
