"""Where every tensor of a published VideoGLaMM checkpoint goes."""

from litelvlm.models.sam2.names import TWINS, sam2_rows
from litelvlm.models.weight_names import NameTable

_ROWS = (
    *(
        (name, "phi3", name)
        for name in (
            *("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"),
            "model.layers.#.*",
        )
    ),
    ("model.mm_projector.*", "video_projector", "*"),
    ("model.image_mm_projector.*", "image_projector", "*"),
    ("model.text_hidden_fcs.0.*", "seg_head", "*"),
    ("model.vision_tower.vision_encoder.*", "video_tower", "*"),
    *sam2_rows("model.visual_model."),
)
_TRAINING = r"((final_)?clip_decoder|clip_projector|(clip_)?img_pos_embed|clip_pos_embed)"


def name_table(video_blocks: int) -> NameTable:
    """The table for checkpoints whose video tower has so many blocks, the last of which is not run.

    Names with ``gamma`` are read as they are. The library of the official code renames them while
    loading, so there those weights of the file are lost, and the tower is read once more from its
    own file.

    Example:
        >>> table = name_table(40)
        >>> table.target_of("model.vision_tower.vision_encoder.blocks.3.ls1.gamma")
        OwnWeight(component='video_tower', name='blocks.3.ls1.gamma')
        >>> table.target_of("model.vision_tower.vision_encoder.blocks.39.ls1.gamma") is None
        True
    """
    encoder = r"model\.vision_tower\.vision_encoder\."
    unused = (
        # CLIP, which is read from its own files; old persistent buffers; what training alone read.
        r"model\.image_vision_tower\..+",
        r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
        r"model\.vision_tower\.vision_proj\..+",
        rf"{encoder}{_TRAINING}(\..+)?",
        rf"{encoder}blocks\.{video_blocks - 1}\..+",
    )
    return NameTable("VideoGLaMM", _ROWS, ignored="|".join(unused), twins=TWINS)
