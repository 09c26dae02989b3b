"""Tensor names of the original SAM2, as checkpoints of grounding models hold them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from litelvlm.models.weight_names import OwnWeight

# Where the original name and the library's differ; "#" is an integer, "*" the rest of the name.
_ENCODER = (
    ("image_encoder.trunk.patch_embed.proj.*", "vision_encoder.backbone.patch_embed.projection.*"),
    ("image_encoder.trunk.blocks.#.norm#.*", "vision_encoder.backbone.blocks.#.layer_norm#.*"),
    (
        "image_encoder.trunk.blocks.#.mlp.layers.0.*",
        "vision_encoder.backbone.blocks.#.mlp.proj_in.*",
    ),
    (
        "image_encoder.trunk.blocks.#.mlp.layers.1.*",
        "vision_encoder.backbone.blocks.#.mlp.proj_out.*",
    ),
    ("image_encoder.trunk.*", "vision_encoder.backbone.*"),
    ("image_encoder.neck.convs.#.conv.*", "vision_encoder.neck.convs.#.*"),
)
_PROMPT_ENCODER = (
    (
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    ("sam_prompt_encoder.point_embeddings.#.weight", "prompt_encoder.point_embed.weight[#]"),
    *(
        (f"sam_prompt_encoder.mask_downscaling.{number}.*", f"prompt_encoder.mask_embed.{name}.*")
        for number, name in (
            *((0, "conv1"), (1, "layer_norm1"), (3, "conv2"), (4, "layer_norm2"), (6, "conv3")),
        )
    ),
    ("sam_prompt_encoder.*", "prompt_encoder.*"),
)
# The library keeps first and last linear apart, so the middle one is its number 0.
_THREE_LAYERS = tuple(enumerate(("proj_in", "layers.0", "proj_out")))
_MASK_DECODER = (
    *(
        (f"sam_mask_decoder.{mlp}.layers.{number}.*", f"mask_decoder.{mlp}.{name}.*")
        for mlp in (*("output_hypernetworks_mlps.#", "iou_prediction_head", "pred_obj_score_head"),)
        for number, name in _THREE_LAYERS
    ),
    ("sam_mask_decoder.output_upscaling.0.*", "mask_decoder.upscale_conv1.*"),
    ("sam_mask_decoder.output_upscaling.1.*", "mask_decoder.upscale_layer_norm.*"),
    ("sam_mask_decoder.output_upscaling.3.*", "mask_decoder.upscale_conv2.*"),
    *(
        (f"sam_mask_decoder.transformer.{block}.*", f"mask_decoder.transformer.{own}.*")
        for block, own in (
            ("layers.#.norm#", "layers.#.layer_norm#"),
            ("layers.#.mlp.layers.0", "layers.#.mlp.proj_in"),
            ("layers.#.mlp.layers.1", "layers.#.mlp.proj_out"),
            ("norm_final_attn", "layer_norm_final_attn"),
            *(
                (f"{attention}.out_proj", f"{attention}.o_proj")
                for attention in (
                    "layers.#.self_attn",
                    "layers.#.cross_attn_token_to_image",
                    "layers.#.cross_attn_image_to_token",
                    "final_attn_token_to_image",
                )
            ),
        )
    ),
    ("sam_mask_decoder.*", "mask_decoder.*"),
)
_MEMORY = (
    (
        "memory_attention.layers.#.self_attn.out_proj.*",
        "memory_attention.layers.#.self_attn.o_proj.*",
    ),
    (
        "memory_attention.layers.#.cross_attn_image.out_proj.*",
        "memory_attention.layers.#.cross_attn_image.o_proj.*",
    ),
    ("memory_attention.layers.#.norm#.*", "memory_attention.layers.#.layer_norm#.*"),
    ("memory_attention.norm.*", "memory_attention.layer_norm.*"),
    ("memory_attention.*", "memory_attention.*"),
    # Convolution, norm and activation follow each other four times, then comes the last one.
    *(
        (
            f"memory_encoder.mask_downsampler.encoder.{3 * stage + place}.*",
            f"memory_encoder.mask_downsampler.layers.{stage}.{name}.*",
        )
        for stage in range(4)
        for place, name in enumerate(("conv", "layer_norm"))
    ),
    (
        "memory_encoder.mask_downsampler.encoder.12.*",
        "memory_encoder.mask_downsampler.final_conv.*",
    ),
    ("memory_encoder.pix_feat_proj.*", "memory_encoder.feature_projection.*"),
    ("memory_encoder.out_proj.*", "memory_encoder.projection.*"),
    *(
        (f"memory_encoder.fuser.layers.#.{name}", f"memory_encoder.memory_fuser.layers.#.{own}")
        for name, own in (
            ("dwconv.*", "depthwise_conv.*"),
            ("pwconv#.*", "pointwise_conv#.*"),
            ("norm.*", "layer_norm.*"),
            # Original files say "gamma", which a library renames as it loads them.
            ("weight", "scale"),
            ("gamma", "scale"),
        )
    ),
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    *((f"obj_ptr_proj.layers.{n}.*", f"object_pointer_proj.{name}.*") for n, name in _THREE_LAYERS),
    ("obj_ptr_tpos_proj.*", "temporal_positional_encoding_projection_layer.*"),
    ("mask_downsample.*", "mask_downsample.*"),
)
_COMPONENT = "sam2"
TWINS: Mapping[OwnWeight, OwnWeight] = MappingProxyType(
    {
        OwnWeight(_COMPONENT, "shared_image_embedding.positional_embedding"): OwnWeight(
            _COMPONENT, "prompt_encoder.shared_embedding.positional_embedding"
        )
    }
)
"""The one tensor that the library's model holds under two names."""


def sam2_rows(prefix: str) -> Sequence[tuple[str, str, str]]:
    """Rows of a table of names (``weight_names.NameTable``) for a SAM2 inside a checkpoint.

    Targets are names of the library's ``Sam2VideoModel``.

    Args:
        prefix: Before every name, such as "sam2.".
    """
    rows = (*_ENCODER, *_PROMPT_ENCODER, *_MASK_DECODER, *_MEMORY)
    return [(prefix + official, _COMPONENT, own) for official, own in rows]
