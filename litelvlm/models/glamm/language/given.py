"""The one teacher-forced forward: a pass over given answers, and its states for [SEG].

Answers, importance and training read the same states. It is differentiable.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Real
from torch import Tensor
from transformers import LlamaForCausalLM

from litelvlm.models.glamm.language.llama import BeforeLayer, LayerMask, decode

Places = Sequence[Sequence[int]]
"""Indices in each row of a batch; negative ones count from its end."""


class GivenStates(NamedTuple):
    """What a teacher-forced pass gives.

    Attributes:
        hidden_states: Of every token after the final norm.
        seg_states: Those for each row's [SEG]s.
    """

    hidden_states: Float[Tensor, "b s d"]
    seg_states: list[Float[Tensor, "_ d"]]

    @property
    def stacked(self) -> Float[Tensor, "b t d"]:
        """States for [SEG], where every row has as many."""
        return torch.stack(self.seg_states)


def seg_places(ids: Sequence[int], seg_id: int) -> tuple[int, ...]:
    """Indices whose state predicts a [SEG]: each is the one before it.

    Example:
        >>> seg_places([1, 5, 9, 7, 9], seg_id=9)
        (1, 3)
    """
    return tuple(place - 1 for place, token in enumerate(ids) if token == seg_id)


def forward_given(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "b s d"],
    position_ids: Real[Tensor, "b s"],
    seg_index: Places,
    attention_mask: Tensor | LayerMask | None = None,
    before_layer: BeforeLayer | None = None,
    moved: Callable[[Places], Places] | None = None,
) -> GivenStates:
    """Run the language model over prompts with their answers.

    Args:
        llama: The language model.
        inputs_embeds: As for ``decode``.
        position_ids: Likewise.
        seg_index: Indices of the states for [SEG] (``seg_places``) in each row.
        attention_mask: As for ``decode``.
        before_layer: Likewise.
        moved: Where indices are after the pass, if it dropped tokens.
    """
    states = decode(llama, inputs_embeds, position_ids, attention_mask, before_layer)
    rows = seg_index if moved is None else moved(seg_index)
    seg_states = [row[list(places)] for row, places in zip(states, rows, strict=True)]
    return GivenStates(states, seg_states)
