"""The layer-by-layer decoder is the library's decoder.

Dropping tokens is the same as never having had them.
"""

import pytest
import torch

from litelvlm.models.glamm.language.llama import causal_mask, decode


@pytest.fixture(scope="module")
def inputs(model):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 11, model.llama.config.hidden_size, generator=generator)


def positions(n: int, rows: int = 2) -> torch.Tensor:
    return torch.arange(n).expand(rows, -1)


@torch.inference_mode()
def test_equals_the_librarys_forward(model, inputs):
    expected = model.llama.model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    torch.testing.assert_close(
        decode(model.llama, inputs, positions(11)), expected, atol=1e-5, rtol=1e-5
    )


@torch.inference_mode()
def test_explicit_causal_mask_changes_nothing(model, inputs):
    mask = causal_mask(11, inputs.dtype, inputs.device)
    torch.testing.assert_close(
        decode(model.llama, inputs, positions(11), attention_mask=mask),
        decode(model.llama, inputs, positions(11)),
        atol=1e-5,
        rtol=1e-5,
    )


@torch.inference_mode()
def test_padding_on_the_right_reaches_no_real_token(model, inputs):
    padded = torch.cat([inputs, torch.zeros(2, 5, inputs.shape[-1])], dim=1)
    states = decode(model.llama, padded, positions(16))[:, :11]
    torch.testing.assert_close(
        states, decode(model.llama, inputs, positions(11)), atol=1e-5, rtol=1e-5
    )


def test_mask_and_dropping_exclude_each_other(model, inputs):
    with pytest.raises(ValueError, match="explicit attention mask"):
        decode(
            model.llama,
            inputs,
            positions(11),
            attention_mask=causal_mask(11, inputs.dtype, inputs.device),
            before_layer=lambda _, states, position_ids: (states, position_ids),
        )
