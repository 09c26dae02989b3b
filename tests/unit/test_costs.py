"""Multiply-adds by formula, against published numbers and torch's own counter at the real size."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from litelvlm.analysis.studies.efficiency.timing import counted_macs
from litelvlm.models.costs import llama_macs, transformer_macs
from tests.glamm_parts import decode

SEVEN_B = {"layers": 32, "width": 4096, "inner": 11008}


def test_the_published_figures_are_the_formula_s():
    # 576, 192 and 64 visual tokens with 124 others print as 4.66, 2.07 and 1.23 T; with 130 others
    # as 4.70, 2.11, 1.27.
    printed = [
        round(llama_macs(v + t, **SEVEN_B) / 1e12, 2) for t in (124, 130) for v in (576, 192, 64)
    ]
    assert printed == [4.66, 2.07, 1.23, 4.70, 2.11, 1.27]
    assert llama_macs(700, **SEVEN_B) == 4661654323200


def test_tokens_behind_known_ones_meet_those_too():
    # 2 tokens behind 4, width 3, inner 5: projections 4 x 2 x 9, attention 2 x 2 x 6 x 3, last 3 x
    # 2 x 3 x 5
    assert llama_macs(2, 1, 3, 5, known=4) == 72 + 72 + 90


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("n", [700, 188])
def test_the_counter_agrees_at_full_size_without_weights(n, attention):
    config = LlamaConfig(
        vocab_size=32007,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=4096,
    )
    with torch.device("meta"):
        llama = LlamaForCausalLM._from_config(config, attn_implementation=attention)
        embeds, positions = torch.empty(1, n, 4096), torch.arange(n)[None]
    counted = counted_macs({"llm": lambda: decode(llama, embeds, positions)})["llm"]
    assert counted == pytest.approx(llama_macs(n, **SEVEN_B), rel=0.01)


def test_a_matrix_product_counts_once_per_multiply_add():
    # 5 rows of 3 numbers into 7: 5 x 3 x 7 = 105 MACs; adding a bias is free.
    layer = nn.Linear(3, 7)
    assert counted_macs({"a": lambda: layer(torch.ones(5, 3)), "b": lambda: torch.ones(5) + 1}) == {
        "a": 105,
        "b": 0,
    }


def test_a_plain_transformer_by_hand():
    # One layer, 2 tokens, width 3, inner 5: projections 4 x 2 x 9, attention 2 x 4 x 3,
    # feed-forward 2 x 2 x 3 x 5.
    assert transformer_macs(2, 1, 3, 5) == 72 + 24 + 60
