"""The tiny VideoGLaMM of a recording, laid out as a published checkpoint folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from litelvlm.models.files import random_weights
from litelvlm.models.sam2.names import TWINS, sam2_rows
from litelvlm.models.sam2.sizes import Sam2Sizes, new_sam2
from litelvlm.models.weight_names import NameTable
from litelvlm.models.weights import places_of

SAM2 = "model.visual_model."


def write_videoglamm_folder(recording: Path, index: dict[str, Any], folder: Path) -> None:
    """Lay the recording out as a published checkpoint folder with CLIP inside it.

    Weights of SAM2 that a recording leaves out are drawn at random: stages that do not read them
    can be compared.
    """
    for path in (*(recording / "tokenizer").iterdir(), recording / "generation_config.json"):
        shutil.copyfile(path, folder / path.name)
    sizes = {n: tuple(v) if type(v) is list else v for n, v in sam2_sizes(index).items()}
    weights = random_sam2(Sam2Sizes(**sizes)) | load_file(recording / "checkpoint.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copytree(recording / "clip", folder / "clip", copy_function=shutil.copyfile)
    config = json.loads((recording / "config.json").read_text())
    config |= {"internvideo": internvideo_sizes(index), "sam2": sam2_sizes(index)}
    (folder / "config.json").write_text(json.dumps(config))


def random_sam2(sizes: Sam2Sizes) -> dict[str, Tensor]:
    """Weights of a SAM2 drawn at random, under their published names."""
    table = NameTable("SAM2", sam2_rows(SAM2), twins=TWINS)
    with random_weights(torch.float32, torch.device("cpu")):
        sam = new_sam2(sizes)
    places = places_of(table, {"sam2": sam}).items()
    named = {table.official_name(place): tensor.detach().clone() for place, tensor in places}
    return {name: tensor for name, tensor in named.items() if name is not None}


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
