"""Decode under a plan that drops visual tokens between layers, watched at every layer."""

import torch

from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from tests.glamm_parts import decode


@torch.inference_mode()
def decode_dropping(model, state, talk, plan, watch):
    """Decode one conversation while ``watch`` sees every layer.

    It is called as ``watch(index, row, before, after, positions)``: the books of the sequence, its
    states before and after the drop, and the positions of the latter.

    Returns:
        The spliced prompt, the dropping, and the states [length, width] of the last layer.
    """
    spliced = model.splice([model.visual_tokens(state, plan)], [talk], [plan])
    dropping = LayerDropping(
        model.llama, model.tokenizer, [talk], [plan], spliced.image_start, spliced.lengths
    )

    def follow(index, hidden_states, position_ids):
        out, moved = dropping(index, hidden_states, position_ids)
        watch(index, dropping.sequences[0], hidden_states[0], out[0], moved[0])
        return out, moved

    hidden = decode(model.llama, spliced.embeds, spliced.position_ids, before_layer=follow)
    return spliced, dropping, hidden[0]
