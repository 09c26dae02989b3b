"""A tiny GLaMM, from checkpoint to masks and scores, through the same loader and model as the real one."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from litelvlm import get_pruner, load_model
from litelvlm.glamm.mask import encode_image
from litelvlm.glamm.model import Glamm, ImageState
from litelvlm.glamm.prompts import Conversation, conversation
from litelvlm.glamm.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.metrics import ciou, giou, intersection_union
from tests.parity.published import write_checkpoint_folder


def compute(fixtures: Path, out: Path) -> None:
    """Write ``run_R<r>.safetensors`` for every recorded budget, ``scores.json`` and ``tokenisation.json``."""
    index = json.loads((fixtures / "index.json").read_text())
    write_tokenisation(fixtures, out)
    inputs = load_file(fixtures / "inputs.safetensors")
    with TemporaryDirectory() as folder:
        write_checkpoint_folder(fixtures, index, Path(folder))
        model = load_model(folder, dtype="float32", device="cpu", attn="eager")
    scores = []
    for run in index["runs"]:
        got: dict[str, Tensor] = {}
        counts = []
        for i, item in enumerate(run["items"]):
            answer = ground(
                model, item, {k: inputs[f"{i}.{k}"] for k in ("clip_pixel_values", "sam_pixel_values")}, run
            )
            got |= {f"{i}.{name}": tensor.contiguous() for name, tensor in answer.items()}
            # As in the official loop, the shorter of the two lists decides.
            masks = zip((answer["pred_masks"] > 0).numpy(), inputs[f"{i}.gt_masks"].numpy(), strict=False)
            counts += [intersection_union(mask, target) for mask, target in masks]
        save_file(got, out / run["file"])
        i_pixels, u_pixels = zip(*counts, strict=True)
        named = {key: run[key] for key in ("dataset", "retain", "file")}
        scores.append({**named, "giou": float(giou(i_pixels, u_pixels)), "ciou": float(ciou(i_pixels, u_pixels))})
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def ground(model: Glamm, item: dict[str, Any], pixels: dict[str, Tensor], run: dict[str, Any]) -> dict[str, Tensor]:
    """One image's conversation under LiteLVLM."""
    answers = re.findall(r"ASSISTANT: (.*?)</s>", item["conversation"])
    talk = Conversation(tuple(item["expressions"]), tuple(item["clip_texts"]), tuple(answers))
    if talk.prompt != item["conversation"]:
        raise ValueError(f"the prompt built is not the recorded one: {talk.prompt!r}")
    state = ImageState(
        model.tower.image(pixels["clip_pixel_values"]),
        encode_image(model.sam, pixels["sam_pixel_values"]),
        tuple(item["original_size"]),
        tuple(item["resized_size"]),
    )
    selection = get_pruner("litelvlm").select(model.cues(state, talk.questions), run["retain"])
    grounding = model.ground([state], [talk], [selection])[0]
    return {
        "input_ids": torch.tensor([model.tokenizer.encode(talk.prompt)]),
        "retained_idx": selection.indices,
        "projected_tokens": model.visual_tokens(state, selection)[None],
        "seg_embeddings": grounding.seg_embeddings[:, None],
        "pred_masks": grounding.logits,
    }


def write_tokenisation(fixtures: Path, out: Path) -> None:
    """Prompts, ids and pieces of the recorded turns (expression, question template, answer template)."""
    tokenizer = GlammTokenizer.from_pretrained(fixtures / "llama_tokenizer")
    entries = []
    for entry in json.loads((fixtures / "tokenisation.json").read_text()):
        expressions, questions, answers = zip(*entry["turns"], strict=True)
        prompt = conversation(expressions, questions, answers).prompt
        ids = tokenizer.encode(prompt)
        pieces = [tokenizer.special_text.get(i) or tokenizer.pieces.id_to_piece(i) for i in ids]
        entries.append({"turns": entry["turns"], "prompt": prompt, "input_ids": ids, "pieces": pieces})
        if IMAGE_INDEX not in ids:
            raise ValueError(f"no image placeholder in {prompt!r}")
    (out / "tokenisation.json").write_text(json.dumps(entries, indent=1) + "\n")
