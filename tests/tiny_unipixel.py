"""A tiny UniPixel with random weights, as a checkpoint folder."""

import json
from pathlib import Path

import torch

from litelvlm.models.unipixel.build import byte_tokenizer, load_unipixel, new_parts
from litelvlm.models.unipixel.config import MODEL_TYPE, SAM2_SIZES, parsed
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.names import names
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.weights import save_checkpoint

FIRST = 256
"""Id of the first token of the chat, behind the bytes."""


def fields(tied: bool = False) -> dict[str, object]:
    """A tiny ``config.json``."""
    return {
        "model_type": MODEL_TYPE,
        "text_config": {
            "vocab_size": 280, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "rope_theta": 1e6, "rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]},
            "sliding_window": None, "use_sliding_window": False, "rms_norm_eps": 1e-6,
            "bos_token_id": FIRST, "eos_token_id": FIRST + 2,
        },
        "vision_config": {
            "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 44,
            "out_hidden_size": 64, "patch_size": 14, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        "tie_word_embeddings": tied, "sam2_hidden_tokens": 2, "sam2_image_size": 128,
        "video_token_id": FIRST + 5,
        "seg_token_id": FIRST + 6,
        SAM2_SIZES: {
            "width": 128, "hiera_width": 8, "hiera_heads": 1, "blocks": [1, 1, 2, 1],
            "global_blocks": [3], "windows": [8, 4, 4, 2], "background": [5, 5],
            "memory_layers": 1, "memory_mlp": 32, "decoder_mlp": 32, "iou_width": 32,
        },
    }  # fmt: skip


def write_tiny(folder: Path, tied: bool = False) -> Path:
    """Write a checkpoint whose answers and masks depend on what it is shown."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields(tied)))
    write_tokenizer(folder)
    config = parsed(fields(tied), "the test")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        parts = new_parts(config, "sdpa")
        for part in parts.values():
            for weight in part.parameters():
                spread = 0.2 if weight.ndim < 2 else min(1.0, 1.2 / weight[0].numel() ** 0.5)
                weight.add_(torch.randn_like(weight) * spread)
        parts["sam2"].mask_decoder.pred_obj_score_head.proj_out.bias.fill_(3.0)
    save_checkpoint(names(config.tied), parts, folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """Bytes and the tokens of the chat."""
    byte_tokenizer().backend_tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def load_tiny(folder: Path, **options: str) -> UniPixel:
    """Load it in float32 on the CPU."""
    return load_unipixel(folder, "float32", "cpu", options=UniPixelOptions().replaced(options))
