"""Find the decoder of a model, and refuse those between whose layers no token can be dropped."""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.models.vlm.families import BIDIRECTIONAL, DEEPSTACK, VlmFamily
from litelvlm.models.vlm.layers.drops import LayerDrops
from litelvlm.models.vlm.selecting import ItemSlots
from litelvlm.models.vlm.shorten import ShortPrompt
from litelvlm.models.vlm_base.layer_view import Decoder
from litelvlm.models.vlm_base.positions import runs
from litelvlm.pruning import LayerPruner
from litelvlm.pruning.layers.base import LayerPlan


def plain_decoder(model: PreTrainedModel, method: str, family: str) -> Decoder:
    """The decoder of a model, if every layer attends to everything in one way.

    Args:
        model: The model.
        method: Name of the method that reads it, for messages.
        family: Name of the family, for messages.

    Raises:
        ValueError: If not; the message says why.
    """
    decoder = model.get_decoder()
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    why = ""
    if kinds != {"full_attention"}:
        why = f"some of its layers do not use full attention ({', '.join(sorted(kinds))})"
    elif not isinstance(decoder, Decoder) or not all(
        hasattr(layer, "self_attn") and hasattr(layer, "input_layernorm")
        for layer in decoder.layers
    ):
        why = "its decoder is not built of layers with self_attn and input_layernorm"
    if why:
        raise ValueError(refusal(method, family, why))
    found: Decoder = decoder
    return found


def decoder_of(model: PreTrainedModel, family: VlmFamily, pruner: LayerPruner) -> Decoder:
    """The decoder of a model, for a method that drops tokens between its layers.

    Raises:
        ValueError: If the family's decoder, its devices or the method do not allow it; the message
            says why.
    """
    why = ""
    places = set(getattr(model, "hf_device_map", {}).values()) - {"cpu", "disk"}
    if pruner.returning:
        why = "the method brings dropped tokens back"
    elif len(places) > 1:
        why = "its layers lie on several devices (device_map)"
    elif DEEPSTACK in family.special:
        why = "features of the image enter its first layers again (deepstack)"
    elif BIDIRECTIONAL & set(family.special):
        why = "its visual tokens attend in both directions"
    if why:
        raise ValueError(refusal(pruner.name, family.model_type, why))
    return plain_decoder(model, pruner.name, family.model_type)


def refusal(method: str, family: str, why: str) -> str:
    """Message for a method that cannot read a family's decoder."""
    return (
        f"{method} reads the layers of the language model, which does not work in {family}: {why}; "
        "take a method that acts before the language model, for example 'divprune'"
    )


def layer_drops(
    model: PreTrainedModel,
    family: VlmFamily,
    pruner: LayerPruner,
    slots: Sequence[ItemSlots],
    prompt: ShortPrompt,
) -> LayerDrops:
    """What drops the visual tokens of one call.

    Raises:
        ValueError: As ``decoder_of``, and if an image's tokens do not stand side by side.
    """
    decoder = decoder_of(model, family, pruner)
    mask = prompt.arguments["attention_mask"]
    plans, text = [], mask.bool().clone()
    for entry in slots:
        row = entry.item.row
        text[row, placed(mask[row], prompt.columns[row], entry.columns)] = False
        if not isinstance(entry.selection, LayerPlan):
            continue
        # Ends of lines are no tokens of the image, and stay.
        patches = torch.isin(entry.columns, entry.item.columns[entry.item.patches])
        columns = placed(mask[row], prompt.columns[row], entry.columns[patches])
        if len(runs(columns)) > 1:
            raise ValueError(
                f"the tokens of {entry.item.name} are not next to each other in the prompt, so "
                f"{pruner.name} cannot rank them; take a method that acts before the language model"
            )
        plans.append((row, columns, entry.selection))
    positions = prompt.position_ids + family.first_position
    kernel = str(decoder.layers[0].self_attn.config._attn_implementation)  # type: ignore[union-attr]
    return LayerDrops(decoder, kernel, plans, positions, mask, text)


def placed(
    mask: Shaped[Tensor, "s"], left: Int[Tensor, "r"], columns: Int[Tensor, "k"]
) -> Int[Tensor, "k"]:
    """Columns of the shortened prompt that hold some columns of the full one."""
    real = mask.nonzero().flatten()
    return real[torch.searchsorted(left, columns)]
