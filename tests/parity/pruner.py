"""LiteLVLM's selection on small random CLIP pairs."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm import get_pruner
from litelvlm.clip.tower import ClipTower
from litelvlm.pruning import Cues


def compute(fixtures: Path, out: Path) -> None:
    """Write ``seed<k>_cases.safetensors`` with the retained indices and features of every case."""
    tokenizer = CLIPTokenizer.from_pretrained(fixtures / "tiny_clip_tokenizer")
    for setup in json.loads((fixtures / "index.json").read_text())["setups"]:
        seed = setup["seed"]
        clip = CLIPModel._from_config(CLIPConfig(**setup["clip_config"]), attn_implementation="eager").eval()
        clip.load_state_dict(load_file(fixtures / f"seed{seed}_clip.safetensors"))
        tower = ClipTower(clip, tokenizer)
        got = {}
        with safe_open(fixtures / f"seed{seed}_cases.safetensors", framework="pt") as inputs:
            image = tower.image(inputs.get_tensor("pixel_values"))
            for case in setup["cases"]:
                texts = case["key"].split(".")[0]
                ids, mask = (inputs.get_tensor(f"{name}.{texts}") for name in ("input_ids", "attention_mask"))
                pooled = clip.text_model(input_ids=ids, attention_mask=mask).pooler_output
                cues = Cues.from_tensors(
                    patch_tokens=image.patch_tokens[0],
                    patch_embeds=image.patch_embeds[0],
                    text_embeds=clip.text_projection(pooled),
                    query=image.query[0],
                    keys=image.keys[0],
                    values=image.values[0],
                    grid=tower.grid,
                )
                kept = get_pruner("litelvlm").select(cues, case["retain"]).indices
                got[f"{case['key']}.retained_idx"] = kept
                got[f"{case['key']}.features"] = image.patch_tokens[:, kept].contiguous()
        save_file(got, out / f"seed{seed}_cases.safetensors")
