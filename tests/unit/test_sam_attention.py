"""SAM's image attention: relative positions are those of the library."""

import torch
from transformers import SamModel
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from litelvlm.models.glamm.masks.sam_attention import (
    RelativeAttention,
    prepare_encoder,
    with_bias,
)
from litelvlm.training.glamm.sizes import sam_config


def test_scores_of_two_tokens_by_hand():
    # A map of one row and two columns, one channel: q = (1, 2), k = (0, 0), so that only columns
    # decide.
    query, key = torch.tensor([[[[1.0], [2.0]]]]), torch.zeros(1, 1, 2, 1)
    value = torch.tensor([[[[1.0], [0.0]]]])
    rows, columns = torch.zeros(1, 1, 1), torch.tensor([[[0.0], [1.0]], [[-1.0], [0.0]]])
    # First query: terms (0, 1), weight of the first value 1 / (1 + e); second: (-2, 0), 1 / (1 +
    # e^2).
    expected = torch.tensor([1 / (1 + torch.e), 1 / (1 + torch.e**2)])
    torch.testing.assert_close(with_bias(query, key, value, rows, columns).flatten(), expected)


@torch.inference_mode()
def test_the_encoder_gives_what_the_librarys_gives():
    torch.manual_seed(0)
    sam = SamModel._from_config(sam_config(), attn_implementation="sdpa")
    for layer in sam.vision_encoder.layers:
        torch.nn.init.normal_(layer.attn.rel_pos_h)
        torch.nn.init.normal_(layer.attn.rel_pos_w)
    pixels = torch.randn(1, 3, 192, 192)
    expected, names = sam.vision_encoder(pixels).last_hidden_state, list(sam.state_dict())
    assert all(type(layer.attn) is SamVisionSdpaAttention for layer in sam.vision_encoder.layers)
    prepare_encoder(sam)
    torch.testing.assert_close(
        sam.vision_encoder(pixels).last_hidden_state, expected, atol=1e-5, rtol=1e-5
    )
    assert list(sam.state_dict()) == names


def test_eager_attention_stays_the_librarys():
    sam = SamModel._from_config(sam_config(), attn_implementation="eager")
    before = [type(layer.attn) for layer in sam.vision_encoder.layers]
    prepare_encoder(sam)
    assert [type(layer.attn) for layer in sam.vision_encoder.layers] == before
    assert not isinstance(sam.vision_encoder.layers[0].attn, RelativeAttention)
