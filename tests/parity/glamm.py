"""A tiny GLaMM, from checkpoint to masks and scores, through the same loader and model as the real one."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from litelvlm import get_pruner, load_model
from litelvlm.glamm.mask import encode_image
from litelvlm.glamm.model import Glamm, ImageState
from litelvlm.glamm.prompts import ANSWERS, QUESTIONS, conversation, question
from litelvlm.glamm.tokenizer import GlammTokenizer
from litelvlm.metrics import ciou, giou, intersection_union
from litelvlm.pruning import check_budget
from tests.parity.published import write_checkpoint_folder
from tests.parity.recorded import Recorded, talk_of

logger = logging.getLogger(__name__)


def compute(fixtures: Path, out: Path) -> None:
    """Write ``run_R<r>.safetensors`` for every recorded budget, ``scores.json`` and ``tokenisation.json``."""
    index = json.loads((fixtures / "index.json").read_text())
    write_tokenisation(fixtures, index, out)
    with TemporaryDirectory() as folder:
        write_checkpoint_folder(fixtures, index, Path(folder))
        model = load_model(folder, dtype="float32", device="cpu", attn="eager")
    scores = []
    for run in index["runs"]:
        try:
            check_budget(run["retain"], model.n_tokens)
        except ValueError as error:  # a recorded error case
            logger.warning("glamm: R = %s is refused: %s", run["retain"], error)
            continue
        sizes = (model.tower.image_size, model.sam_image_size)
        got, counts = evaluate(model, run, Recorded(fixtures, run, sizes, alone=len(index["runs"]) == 1))
        save_file(got, out / run.get("file", f"run_R{run['retain']}.safetensors"))
        if counts:
            i_pixels, u_pixels = zip(*counts, strict=True)
            named = {key: run[key] for key in ("dataset", "retain", "file") if key in run}
            scores.append({**named, "giou": giou(i_pixels, u_pixels), "ciou": ciou(i_pixels, u_pixels)})
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def evaluate(model: Glamm, run: dict[str, Any], inputs: Recorded) -> tuple[dict[str, Tensor], list[tuple[int, int]]]:
    """Tensors of every image of a run, and the pixel counts of its expressions."""
    got: dict[str, Tensor] = {}
    counts: list[tuple[int, int]] = []
    for i, item in enumerate(run["items"]):
        answer = ground(model, i, item, inputs)
        got |= {f"{i}.{name}": tensor.contiguous() for name, tensor in answer.items()}
        targets = inputs.targets(i, item)
        if targets is None:
            logger.warning("glamm: image %d has no targets, so R = %s gets no score for it", i, run["retain"])
            continue
        # As in the official loop, the shorter of the two lists decides.
        masks = zip((answer["pred_masks"] > 0).numpy(), targets.numpy(), strict=False)
        counts += [intersection_union(mask, target) for mask, target in masks]
    return got, counts


def ground(model: Glamm, i: int, item: dict[str, Any], inputs: Recorded) -> dict[str, Tensor]:
    """One image's conversation under LiteLVLM."""
    talk = talk_of(item)
    clip, sam = inputs.pixels(i, item)
    state = ImageState(model.tower.image(clip), encode_image(model.sam, sam), *inputs.geometry(i, item))
    selection = get_pruner("litelvlm").select(model.cues(state, talk.questions), inputs.run["retain"])
    grounding = model.ground([state], [talk], [selection])[0]
    return {
        "input_ids": torch.tensor([model.tokenizer.encode(talk.prompt)]),
        "retained_idx": selection.indices,
        "projected_tokens": model.visual_tokens(state, selection)[None],
        "seg_embeddings": grounding.seg_embeddings[:, None],
        "pred_masks": grounding.logits,
    }


def write_tokenisation(fixtures: Path, index: dict[str, Any], out: Path) -> None:
    """Prompts, ids and pieces of the recorded turns (expression, question template, answer template)."""
    tokenizer = GlammTokenizer.from_pretrained(fixtures / "llama_tokenizer")
    entries = []
    for turns in listed_turns(fixtures, index):
        prompt = conversation(*zip(*turns, strict=True)).prompt
        ids = tokenizer.encode(prompt)
        pieces = [tokenizer.special_text.get(i) or tokenizer.pieces.id_to_piece(i) for i in ids]
        entries.append({"turns": turns, "prompt": prompt, "input_ids": ids, "pieces": pieces})
    (out / "tokenisation.json").write_text(json.dumps(entries, indent=1) + "\n")


def listed_turns(fixtures: Path, index: dict[str, Any]) -> Iterator[list[list[Any]]]:
    """Turns of the listing; without one, those of the recorded conversations."""
    listing = fixtures / "tokenisation.json"
    if listing.is_file():
        yield from (entry["turns"] for entry in json.loads(listing.read_text()))
        return
    for item in (item for run in index["runs"] for item in run["items"]):
        talk = talk_of(item)
        turns = []
        for text, asked, answered in zip(item["expressions"], talk.questions, talk.answers, strict=True):
            template = next(i for i in range(len(QUESTIONS)) if question(text, i) == asked)
            turns.append([text, template, ANSWERS.index(answered)])
        yield turns
