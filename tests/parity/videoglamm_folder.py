"""The tiny VideoGLaMM of a recording, laid out as a published checkpoint folder."""

import json
import shutil
from pathlib import Path
from typing import Any


def write_videoglamm_folder(recording: Path, index: dict[str, Any], folder: Path) -> None:
    """Lay the recording out as a published checkpoint folder with CLIP inside it."""
    for path in (*(recording / "tokenizer").iterdir(), recording / "generation_config.json"):
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(recording / "checkpoint.safetensors", folder / "model.safetensors")
    shutil.copytree(recording / "clip", folder / "clip", copy_function=shutil.copyfile)
    config = json.loads((recording / "config.json").read_text())
    config |= {"internvideo": internvideo_sizes(index), "sam2": sam2_sizes(index)}
    (folder / "config.json").write_text(json.dumps(config))


def internvideo_sizes(index: dict[str, Any]) -> dict[str, int]:
    """The recorded sizes of the video tower in our words."""
    sizes = index["internvideo"]
    return {
        "image_size": sizes["image_size"],
        "patch_size": sizes["patch"],
        "frames": index["chunk_size"],
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["mlp_hidden"],
    }


def sam2_sizes(index: dict[str, Any]) -> dict[str, Any]:
    """The recorded sizes of SAM2 in our words."""
    sizes = index["sam2"]
    return {
        "image_size": sizes["image_size"],
        "width": sizes["d_model"],
        "hiera_width": sizes["hiera_embed_dim"],
        "hiera_heads": sizes["hiera_heads"],
        "blocks": sizes["hiera_stages"],
        "global_blocks": sizes["global_blocks"],
        "windows": sizes["window_spec"],
        "background": sizes["background_grid"],
        "memory_layers": sizes["memory_attention_layers"],
        "memory_mlp": sizes["memory_attention_ff"],
        "decoder_mlp": sizes["decoder_mlp"],
        "iou_width": sizes["iou_head_hidden"],
        "memories": sizes["num_maskmem"],
        "version": "2.0",
    }
