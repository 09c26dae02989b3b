"""Sizes of SAM2, and the library's configuration of them."""

from dataclasses import dataclass, fields

from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

from litelvlm.data.safe.shown import shown
from litelvlm.models.configs import PartSizes
from litelvlm.names import check_name

PATCH = 16
"""Pixels per image token of SAM2's mask decoder, along one side."""
MEMORY_WIDTH = 64
"""Numbers per remembered token; fixed in the library's memory attention."""
_DEEPEST, _LARGEST = 256, 4096


@dataclass(frozen=True, kw_only=True)
class Sam2Sizes(PartSizes):
    """Sizes of a SAM2; the defaults are those that every published one shares.

    Attributes:
        image_size: Side of the square input in pixels.
        width: Of the mask decoder's tokens.
        hiera_width: Of the image encoder's first stage; each stage doubles it.
        hiera_heads: Of the first stage; each stage doubles them.
        blocks: Per stage of the image encoder.
        global_blocks: Blocks that attend to the whole image.
        windows: Side of the attention windows of each stage.
        background: Side of the image encoder's grid of positions.
        memory_layers: Layers of the memory attention.
        memory_mlp: Width of their MLPs.
        decoder_mlp: Width of the mask decoder's MLPs.
        iou_width: Width inside the head that rates masks.
        memories: Remembered frames, the first one among them.
        version: "2.0" or "2.1". The second tells object pointers their time, and marks memories of
            frames without the object.

    Raises:
        ValueError: If one is out of bounds, the widths do not fit together, or the version is
            unknown.
    """

    image_size: int
    width: int = 256
    hiera_width: int
    hiera_heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int]
    background: tuple[int, int]
    memory_layers: int = 4
    memory_mlp: int = 2048
    decoder_mlp: int = 2048
    iou_width: int = 256
    memories: int = 7
    version: str = "2.1"

    def __post_init__(self) -> None:
        check_name(self.version, ("2.0", "2.1"), "version of SAM2")
        for name in (field.name for field in fields(self) if field.name != "version"):
            value = getattr(self, name)
            parts = value if isinstance(value, tuple) else (value,)
            low, most = int(name != "global_blocks"), _DEEPEST if name == "blocks" else _LARGEST
            if not all(type(part) is int and low <= part <= most for part in parts):
                raise ValueError(f"{name}={shown(value)} of SAM2 (allowed: {low} to {most})")
        if self.width <= MEMORY_WIDTH or self.width % MEMORY_WIDTH:
            raise ValueError(
                f"a SAM2 of width {self.width} cannot split its object pointers into memories of "
                f"width {MEMORY_WIDTH}; take a larger multiple of {MEMORY_WIDTH}"
            )
        if self.image_size % (2 * PATCH):
            raise ValueError(
                f"SAM2's input of {self.image_size} pixels is no multiple of {2 * PATCH}"
            )

    @property
    def grid(self) -> int:
        """Side of the mask decoder's image tokens."""
        return self.image_size // PATCH

    def config(self) -> Sam2VideoConfig:
        """The library's configuration."""
        widths = [self.hiera_width * 2**stage for stage in range(4)]
        later = self.version != "2.0"
        # Parts are given as objects: transformers 5.17 reads a plain table of the mask decoder as
        # one of the prompt encoder.
        return Sam2VideoConfig(
            vision_config=Sam2VisionConfig(
                backbone_config=Sam2HieraDetConfig(
                    hidden_size=self.hiera_width,
                    num_attention_heads=self.hiera_heads,
                    image_size=[self.image_size, self.image_size],
                    window_positional_embedding_background_size=list(self.background),
                    blocks_per_stage=list(self.blocks),
                    embed_dim_per_stage=widths,
                    num_attention_heads_per_stage=[self.hiera_heads * 2**n for n in range(4)],
                    window_size_per_stage=list(self.windows),
                    global_attention_blocks=list(self.global_blocks),
                ),
                backbone_channel_list=widths[::-1],
                backbone_feature_sizes=[[n * self.grid, n * self.grid] for n in (4, 2, 1)],
                fpn_hidden_size=self.width,
            ),
            prompt_encoder_config=Sam2VideoPromptEncoderConfig(
                hidden_size=self.width, image_size=self.image_size, patch_size=PATCH
            ),
            mask_decoder_config=Sam2VideoMaskDecoderConfig(
                hidden_size=self.width,
                mlp_dim=self.decoder_mlp,
                iou_head_hidden_dim=self.iou_width,
            ),
            image_size=self.image_size,
            num_maskmem=self.memories,
            enable_temporal_pos_encoding_for_object_pointers=later,
            enable_occlusion_spatial_embedding=later,
            memory_attention_hidden_size=self.width,
            memory_attention_num_layers=self.memory_layers,
            memory_attention_feed_forward_hidden_size=self.memory_mlp,
            memory_attention_rope_feat_sizes=[self.grid, self.grid],
            memory_encoder_hidden_size=self.width,
            memory_encoder_output_channels=MEMORY_WIDTH,
            mask_downsampler_embed_dim=self.width,
            memory_fuser_embed_dim=self.width,
            memory_fuser_intermediate_dim=4 * self.width,
        )


SAM2_LARGE = Sam2Sizes(
    image_size=1024,
    hiera_width=144,
    hiera_heads=2,
    blocks=(2, 6, 36, 4),
    global_blocks=(23, 33, 43),
    windows=(8, 4, 16, 8),
    background=(7, 7),
    version="2.0",
)
SAM21_BASE_PLUS = Sam2Sizes(
    image_size=1024,
    hiera_width=112,
    hiera_heads=2,
    blocks=(2, 3, 16, 3),
    global_blocks=(12, 16, 20),
    windows=(8, 4, 14, 7),
    background=(14, 14),
)


def new_sam2(sizes: Sam2Sizes, attn: str = "sdpa") -> Sam2VideoModel:
    """A SAM2 on the current default device, with freshly drawn weights, in evaluation mode.

    In training mode the library's model leaves out the object score.

    Args:
        sizes: Its sizes.
        attn: Attention kernel.
    """
    sam: Sam2VideoModel = Sam2VideoModel._from_config(sizes.config(), attn_implementation=attn)
    sam.eval()
    return sam
