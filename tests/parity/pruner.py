"""LiteLVLM's selection on small random CLIP pairs."""

import json
import logging
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm import get_pruner
from litelvlm.clip.tower import ClipTower
from litelvlm.pruning import Cues

logger = logging.getLogger(__name__)


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
                cues = Cues.from_tensors(
                    patch_tokens=image.patch_tokens[0],
                    patch_embeds=image.patch_embeds[0],
                    text_embeds=text_embeds(tower, inputs, case),
                    query=image.query[0],
                    keys=image.keys[0],
                    values=image.values[0],
                    grid=tower.grid,
                )
                try:
                    kept = get_pruner("litelvlm").select(cues, case["retain"]).indices
                except ValueError as error:  # a recorded error case
                    logger.warning("pruner: seed %s, %s is refused: %s", seed, case["key"], error)
                    continue
                got[f"{case['key']}.retained_idx"] = kept
                got[f"{case['key']}.features"] = image.patch_tokens[:, kept].contiguous()
        save_file(got, out / f"seed{seed}_cases.safetensors")


def text_embeds(tower: ClipTower, inputs: Any, case: dict[str, Any]) -> Tensor:
    """Projected states of the case's texts, from the recorded ids where there are any."""
    texts = case["key"].split(".")[0]
    if f"input_ids.{texts}" not in inputs.keys():  # noqa: SIM118 - no mapping
        return tower.text(case["texts"]).text_embeds
    ids, mask = (inputs.get_tensor(f"{name}.{texts}") for name in ("input_ids", "attention_mask"))
    return tower.encode_text(ids, mask)[0]
