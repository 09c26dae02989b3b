"""The sizes of the model that a table asks: what decides how much it computes."""

from typing import cast

from transformers import CLIPConfig, CLIPVisionConfig, SamMaskDecoderConfig, SamVisionConfig

from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.work import OTHER_TOKENS, PUBLISHED, Sizes
from litelvlm.models.costs import transformer_macs
from litelvlm.models.glamm.checkpoints.config import read_config, sam_config
from litelvlm.models.glamm.checkpoints.source import clip_source, locate
from litelvlm.models.glamm.costs import mask_decoder_macs, sam_encoder_macs
from litelvlm.pruning.budgets import ModelSizes


def sizes_for(settings: Settings) -> Sizes:
    """Sizes of the model: those of the published one, or what the files of another state.

    Raises:
        ValueError: If a model is named that is neither known nor a folder, or its files are wrong.
        FileNotFoundError: If a part of it is missing.
    """
    if settings.model is None:
        return PUBLISHED
    folder = locate(settings.model, fetch=False).folder
    config = read_config(folder)
    clip = clip_source(folder, config, settings.clip).folder
    vision = cast(CLIPVisionConfig, CLIPConfig.from_pretrained(clip).vision_config)
    sam = sam_config(config)
    encoder = cast(SamVisionConfig, sam.vision_config)
    decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
    # transformers also allows a pair of sizes; a GLaMM's towers have squares.
    patch_size, image_size = cast(int, vision.patch_size), cast(int, vision.image_size)
    n_tokens = (image_size // patch_size) ** 2
    side = cast(int, encoder.image_size) // cast(int, encoder.patch_size)
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    blocks = vision.num_hidden_layers - 1  # the last one is not run
    tower = 3 * patch_size**2 * vision.hidden_size * n_tokens
    tower += transformer_macs(n_tokens + 1, blocks, vision.hidden_size, vision.intermediate_size)
    return Sizes(
        layers,
        width,
        config["intermediate_size"],
        OTHER_TOKENS,
        ModelSizes(n_tokens, blocks, layers),
        tower + sam_encoder_macs(encoder, side),
        mask_decoder_macs(decoder, side**2) + width * (width + decoder.hidden_size),
    )
