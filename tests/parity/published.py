"""The tiny GLaMM of the fixtures, laid out as a published checkpoint folder."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, SamConfig


def write_checkpoint_folder(fixtures: Path, index: dict[str, Any], folder: Path) -> None:
    """Lay the fixture out as a published checkpoint folder with CLIP inside it."""
    shutil.copytree(fixtures / "llama_tokenizer", folder, dirs_exist_ok=True)
    shutil.copyfile(fixtures / "checkpoint.safetensors", folder / "model.safetensors")
    config = {
        **index["llama"],
        "mm_hidden_size": index["clip"]["hidden"],
        "mm_vision_tower": "clip",
        "out_dim": index["out_dim"],
        "sam": sam_config(index).to_dict(),
    }
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copytree(fixtures / "clip_tokenizer", folder / "clip")
    weights = load_file(fixtures / "clip.safetensors")
    save_file(weights, folder / "clip" / "model.safetensors", metadata={"format": "pt"})
    clip_config(
        index, vocab_size=len(weights["text_model.embeddings.token_embedding.weight"])
    ).save_pretrained(folder / "clip")


def clip_config(index: dict[str, Any], vocab_size: int) -> CLIPConfig:
    """The recorded CLIP sizes in the library's words."""
    sizes = index["clip"]
    shared = {key: sizes[key] for key in ("projection_dim", "hidden_act", "layer_norm_eps")}
    text = {
        "vocab_size": vocab_size,
        "hidden_size": sizes["text_hidden"],
        "intermediate_size": sizes["text_intermediate"],
        "num_hidden_layers": sizes["text_layers"],
        "num_attention_heads": sizes["heads"],
        "bos_token_id": vocab_size - 2,
        "eos_token_id": vocab_size - 1,
        "pad_token_id": vocab_size - 1,
    }
    vision = {
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["vision_intermediate"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "image_size": index["clip_image_size"],
        "patch_size": sizes["patch"],
    }
    return CLIPConfig(
        text_config={**text, **shared},
        vision_config={**vision, **shared},
        projection_dim=sizes["projection_dim"],
    )


def sam_config(index: dict[str, Any]) -> SamConfig:
    """The recorded SAM sizes in the library's words."""
    sizes, side = index["sam"], index["grounding_image_size"]
    vision = {
        "hidden_size": sizes["embed_dim"],
        "output_channels": sizes["out_chans"],
        "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["num_heads"],
        "image_size": side,
        "patch_size": sizes["patch_size"],
        "window_size": sizes["window_size"],
        "global_attn_indexes": sizes["global_attn_indexes"],
        "num_pos_feats": sizes["out_chans"] // 2,
        "mlp_dim": 4 * sizes["embed_dim"],
    }
    prompt = {
        "hidden_size": sizes["out_chans"],
        "image_size": side,
        "patch_size": sizes["patch_size"],
        "mask_input_channels": sizes["mask_in_chans"],
    }
    decoder = {
        "hidden_size": sizes["out_chans"],
        "num_hidden_layers": sizes["decoder_depth"],
        "mlp_dim": sizes["decoder_mlp_dim"],
        "num_attention_heads": sizes["decoder_heads"],
        "iou_head_depth": sizes["iou_head_depth"],
        "iou_head_hidden_dim": sizes["iou_head_hidden_dim"],
        "layer_norm_eps": 1e-5,
    }
    return SamConfig(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
