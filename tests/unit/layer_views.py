"""Layers of a language model made of plain tensors.

Tokens 1 to 4 of the sequence are visual, the rest is text.
"""

import torch

from litelvlm.pruning.layers.base import LayerView

# Two heads, two query tokens (5 and 6), seven places.
ATTENTION = torch.tensor(
    [
        [[0.2, 0.1, 0.3, 0.0, 0.2, 0.2, 0.0], [0.0, 0.6, 0.0, 0.2, 0.0, 0.1, 0.1]],
        [[0.1, 0.2, 0.0, 0.3, 0.4, 0.0, 0.0], [0.0, 0.1, 0.1, 0.4, 0.0, 0.2, 0.2]],
    ]
)


class View(LayerView):
    """A layer whose attention, keys, values, states and rotation are given as they are.

    Rows of ``attention`` belong to the tokens from ``stop`` on.
    """

    def __init__(self, attention=None, queries=(5,), n_visual=4, index=1, **given):
        self.index = index
        self.image, self.queries = slice(1, 1 + n_visual), torch.tensor(queries)
        self._given = {"attention": attention, **given}
        self.hidden_states = given.get("hidden_states")

    def attention(self, queries):
        return self._given["attention"][:, queries - self.image.stop]

    def keys(self):
        return self._given["keys"]

    def values(self):
        return self._given["values"]

    def rotary(self):
        return self._given["rotary"]

    def states(self):
        return self._given["states"]
