"""LiteLVLM's selection on small random CLIP pairs."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from litelvlm import get_pruner
from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage
from litelvlm.pruning import Cues
from tests.parity.failures import Failures

logger = logging.getLogger(__name__)


def compute(fixtures: Path, out: Path, device: str = "cpu") -> None:
    """Write ``seed<k>_cases.safetensors`` for every setup.

    CLIP and the selection compute on the device. The file holds the retained indices
    and features of every case.
    """
    tokenizer = CLIPTokenizer.from_pretrained(fixtures / "tiny_clip_tokenizer")
    failures = Failures()
    for setup in json.loads((fixtures / "index.json").read_text())["setups"]:
        seed = setup["seed"]
        with failures.of(f"the setup of seed {seed}"):
            clip = CLIPModel._from_config(
                CLIPConfig(**setup["clip_config"]), attn_implementation="eager"
            ).eval()
            # Files of older libraries also store the numbers 0, 1, 2 ... of the positions.
            weights = load_file(fixtures / f"seed{seed}_clip.safetensors")
            clip.load_state_dict(
                {k: v for k, v in weights.items() if not k.endswith(".position_ids")}
            )
            tower = ClipTower(clip.to(device), tokenizer)
            with safe_open(fixtures / f"seed{seed}_cases.safetensors", framework="pt") as inputs:
                got = answers(tower, setup, inputs, failures)
            save_file(got, out / f"seed{seed}_cases.safetensors")
    failures.raise_any()


def answers(
    tower: ClipTower, setup: dict[str, Any], inputs: Any, failures: Failures
) -> dict[str, Tensor]:
    """Indices and features of every case, and a refusal of every recorded error."""
    got: dict[str, Tensor] = {}
    image = tower.image(inputs.get_tensor("pixel_values").to(tower.clip.device))
    for case in [*setup["cases"], *error_cases(setup)]:
        where = f"seed {setup['seed']}, {case['key']}"
        with failures.of(where):
            cues = image_cues(tower, image, text_embeds(tower, inputs, case))
            try:
                kept = get_pruner("litelvlm").select(cues, case["retain"]).indices
            except ValueError as error:
                if 1 <= case["retain"] <= cues.n_tokens:
                    raise
                logger.warning("pruner: %s is refused: %s", where, error)
                continue
            if "raises" in case:
                raise ValueError(f"{where} is a recorded error and gave {len(kept)} tokens")
            got[f"{case['key']}.retained_idx"] = kept.cpu()
            got[f"{case['key']}.features"] = image.patch_tokens[:, kept].contiguous().cpu()
    return got


def error_cases(setup: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Recorded errors in the form of cases, with the texts of a case of as many."""
    for error in setup.get("errors", []):
        same = (case for case in setup["cases"] if len(case["texts"]) == error["T"])
        texts = error.get("texts") or next(same, {"texts": ["left man"] * error["T"]})["texts"]
        yield {**error, "key": f"T{error['T']}.R{error['retain']}", "texts": texts}


def image_cues(tower: ClipTower, image: ClipImage, texts: Tensor) -> Cues:
    """What the method reads of one image and its texts."""
    return Cues.from_tensors(
        patch_tokens=image.patch_tokens[0],
        patch_embeds=image.patch_embeds[0],
        text_embeds=texts,
        query=image.query[0],
        keys=image.keys[0],
        values=image.values[0],
        layout=tower.grid,
    )


def text_embeds(tower: ClipTower, inputs: Any, case: dict[str, Any]) -> Tensor:
    """Projected states of the case's texts, from the recorded ids where there are any."""
    texts = case["key"].split(".")[0]
    if f"input_ids.{texts}" not in inputs.keys():  # noqa: SIM118 - no mapping
        return tower.text(case["texts"]).text_embeds
    ids, mask = (
        inputs.get_tensor(f"{name}.{texts}").to(tower.clip.device)
        for name in ("input_ids", "attention_mask")
    )
    return tower.encode_text(ids, mask)[0]
