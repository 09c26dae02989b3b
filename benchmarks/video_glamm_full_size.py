"""Peak memory and time per stage of one clip through a VideoGLaMM of published size.

Usage: ``python benchmarks/video_glamm_full_size.py [--device cpu] [--num-frames 8]``. The weights
are random: time and memory do not depend on them, and the masks mean nothing. The tokenizers are
those of the recordings among the tests, whose words are shorter than the published ones; the number
of text tokens is stored. On a CPU in bfloat16 it needs about 14 GB.
"""

import json
import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from common import ROOT, peak_bytes, run, spread
from PIL import Image

from litelvlm import get_pruner, load_model
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.prompts import full_prompt

TEXT = "the man on the left"
RECORDING = ROOT / "tests/fixtures/parity/videoglamm/seed0"
VOCABULARY = 32_012
SIZES = {
    "model_type": "VideoGPT+",
    "vocab_size": VOCABULARY,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-5,
    "sliding_window": 2047,
    "mm_hidden_size": 1408,
    "image_mm_hidden_size": 1024,
    "eos_token_id": 400,
}
"""Published sizes of the language model; those of the video tower and of SAM2 are the defaults."""
CLIP = {
    "model_type": "clip",
    "projection_dim": 768,
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    },
}


def write_sizes(folder: Path) -> Path:
    """A checkpoint folder without weights: published sizes, tokenizers of the recordings."""
    for path in (*(RECORDING / "tokenizer").iterdir(), RECORDING / "generation_config.json"):
        shutil.copyfile(path, folder / path.name)
    (folder / "clip").mkdir()
    for path in (RECORDING / "clip").iterdir():
        if path.suffix in (".json", ".txt"):
            shutil.copyfile(path, folder / "clip" / path.name)
    (folder / "clip/config.json").write_text(json.dumps(CLIP))
    (folder / "config.json").write_text(json.dumps(SIZES))
    return folder


def stages(model: VideoGlamm, frames: list[Image.Image], share: float, repeats: int) -> Any:
    """Seconds per stage at one share of the tokens; 1 means unpruned."""
    method = None if share == 1 else get_pruner("random")
    budget = None if share == 1 else share
    made = [model.segment(frames, TEXT, method, budget) for _ in range(repeats)]
    view = model.clip_view(frames[0].height, frames[0].width, len(frames))
    kept = made[0].selection
    return {
        "share": share,
        "visual_tokens_in_llm": model.language_tokens(view.layout, kept and len(kept)),
        "seconds": {s: spread([one.timings[s] for one in made]) for s in made[0].timings},
        "total_seconds": spread([sum(one.timings.values()) for one in made]),
        "peak_bytes": peak_bytes(model.device),
    }


def measure(
    device: str = "cpu",
    num_frames: int = 8,
    clip_frames: int = 8,
    repeats: int = 1,
    shares: tuple[float, ...] = (1.0,),
) -> dict[str, Any]:
    """Load the model, then time one share after another; nothing is warmed up.

    The language model reads ``num_frames`` frames, SAM2 those of the clip.
    """
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = VideoGlammOptions().replaced({"num_frames": num_frames})
        built = load_model(
            write_sizes(Path(folder)),
            dtype="bfloat16",
            device=device,
            random_init=True,
            options=options,
        )
    if not isinstance(built, VideoGlamm):
        raise ValueError(f"{built} is no VideoGLaMM")
    # The recordings' tokenizer has fewer tokens than the published one has rows.
    built.phi3.resize_token_embeddings(VOCABULARY, mean_resizing=False)
    took, peak = perf_counter() - start, peak_bytes(built.device)
    pixels = np.random.default_rng(0).integers(0, 256, (clip_frames, 480, 640, 3), dtype=np.uint8)
    frames = [Image.fromarray(one) for one in pixels]
    asked = built.clip_conversation([TEXT], num_frames)
    prompt = full_prompt(asked, num_frames, built.config.marked)
    weights = sum(p.nbytes for p in built.parameters()) + sum(b.nbytes for b in built.buffers())
    return {
        "model": "VideoGLaMM's published sizes (random weights)",
        "dtype": str(built.dtype),
        "device": built.device.type,
        "frames": clip_frames,
        "frames_of_language_model": num_frames,
        "parameters": sum(p.numel() for p in built.parameters()),
        "weight_bytes": weights,
        "load_seconds": took,
        "peak_bytes_after_load": peak,
        "text_tokens": len(built.tokenizer.encode(prompt)) - num_frames,
        "shares": [stages(built, frames, share, repeats) for share in shares],
    }


if __name__ == "__main__":
    run(measure)
