"""Table of tensor names, published GLaMM checkpoint to model, read in both directions."""

from litelvlm.models.weight_names import NameTable, OwnWeight

_LLAMA = (
    "model.embed_tokens.weight",
    "model.layers.#.self_attn.*",
    "model.layers.#.mlp.*",
    "model.layers.#.input_layernorm.*",
    "model.layers.#.post_attention_layernorm.*",
    "model.norm.weight",
    "lm_head.weight",
)
"""Names that stay as they are."""
# The official names follow "model.grounding_encoder."; the targets are the library's SamModel.
_SAM_TABLE: tuple[tuple[str, str], ...] = (
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("image_encoder.patch_embed.proj.*", "vision_encoder.patch_embed.projection.*"),
    ("image_encoder.blocks.#.norm#.*", "vision_encoder.layers.#.layer_norm#.*"),
    ("image_encoder.blocks.#.attn.*", "vision_encoder.layers.#.attn.*"),
    ("image_encoder.blocks.#.mlp.*", "vision_encoder.layers.#.mlp.*"),
    ("image_encoder.neck.0.*", "vision_encoder.neck.conv1.*"),
    ("image_encoder.neck.1.*", "vision_encoder.neck.layer_norm1.*"),
    ("image_encoder.neck.2.*", "vision_encoder.neck.conv2.*"),
    ("image_encoder.neck.3.*", "vision_encoder.neck.layer_norm2.*"),
    (
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    ("prompt_encoder.point_embeddings.#.*", "prompt_encoder.point_embed.#.*"),
    ("prompt_encoder.mask_downscaling.0.*", "prompt_encoder.mask_embed.conv1.*"),
    ("prompt_encoder.mask_downscaling.1.*", "prompt_encoder.mask_embed.layer_norm1.*"),
    ("prompt_encoder.mask_downscaling.3.*", "prompt_encoder.mask_embed.conv2.*"),
    ("prompt_encoder.mask_downscaling.4.*", "prompt_encoder.mask_embed.layer_norm2.*"),
    ("prompt_encoder.mask_downscaling.6.*", "prompt_encoder.mask_embed.conv3.*"),
    (
        "mask_decoder.transformer.layers.#.norm#.*",
        "mask_decoder.transformer.layers.#.layer_norm#.*",
    ),
    (
        "mask_decoder.transformer.norm_final_attn.*",
        "mask_decoder.transformer.layer_norm_final_attn.*",
    ),
    ("mask_decoder.output_upscaling.0.*", "mask_decoder.upscale_conv1.*"),
    ("mask_decoder.output_upscaling.1.*", "mask_decoder.upscale_layer_norm.*"),
    ("mask_decoder.output_upscaling.3.*", "mask_decoder.upscale_conv2.*"),
    # The library keeps first and last linear apart, so the old middle one is its number 0.
    *(
        (f"{mlp}.layers.{number}.*", f"{mlp}.{name}.*")
        for mlp in (
            "mask_decoder.output_hypernetworks_mlps.#",
            "mask_decoder.iou_prediction_head",
        )
        for number, name in enumerate(("proj_in", "layers.0", "proj_out"))
    ),
    *(
        (name, name)
        for name in (
            "prompt_encoder.not_a_point_embed.*",
            "prompt_encoder.no_mask_embed.*",
            "mask_decoder.transformer.layers.#.self_attn.*",
            "mask_decoder.transformer.layers.#.cross_attn_*",
            "mask_decoder.transformer.layers.#.mlp.*",
            "mask_decoder.transformer.final_attn_*",
            "mask_decoder.iou_token.*",
            "mask_decoder.mask_tokens.*",
        )
    ),
)
_ROWS = (
    *((name, "llama", name) for name in _LLAMA),
    ("model.mm_projector.*", "projector", "*"),
    ("model.text_hidden_fcs.0.*", "seg_head", "*"),
    *(("model.grounding_encoder." + official, "sam", target) for official, target in _SAM_TABLE),
)

NAMES = NameTable(
    "GLaMM",
    _ROWS,
    # Old persistent buffers; the encoder of boxes, which referring segmentation does not use; CLIP,
    # which is read from its own files.
    ignored=r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
    r"|model\.region_encoder\..+|.*vision_tower.*",
    # SAM's random Fourier matrix is one tensor under two names.
    twins={
        OwnWeight("sam", "shared_image_embedding.positional_embedding"): OwnWeight(
            "sam", "prompt_encoder.shared_embedding.positional_embedding"
        )
    },
)
"""Names of the checkpoint ``MBZUAI/GLaMM-RefSeg``."""
