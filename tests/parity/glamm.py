"""A tiny GLaMM, from checkpoint to masks and scores.

It goes through the same loader and model as the real one.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from litelvlm import get_pruner, load_model
from litelvlm.metrics import ciou, giou, intersection_union
from litelvlm.models.glamm.masks.masker import encode_image
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.pruning import check_budget
from tests.glamm_parts import ANSWERS, QUESTIONS, conversation, full_prompt, question
from tests.parity.failures import Failures
from tests.parity.published import write_checkpoint_folder
from tests.parity.recorded import Recorded, talk_of

logger = logging.getLogger(__name__)


def compute(fixtures: Path, out: Path, device: str = "cpu") -> None:
    """Write one ``run_R<r>.safetensors`` per recorded budget, and two JSON files.

    The files are ``scores.json`` and ``tokenisation.json``. The model computes on the device.
    """
    index, failures = json.loads((fixtures / "index.json").read_text()), Failures()
    with failures.of("tokenisation"):
        write_tokenisation(fixtures, index, out)
    with TemporaryDirectory() as folder:
        write_checkpoint_folder(fixtures, index, Path(folder))
        model = load_model(folder, dtype="float32", device=device, attn="eager")
    sizes = (model.tower.image_size, model.sam_image_size)
    scores: list[dict[str, Any]] = []
    written: set[str] = set()
    for run in index["runs"]:
        if not 1 <= run["retain"] <= model.n_tokens:
            expect_refusal(model, run["retain"])
            continue
        with failures.of(f"the run {run.get('dataset', '')} R = {run['retain']}"):
            name = run.get("file", f"run_R{run['retain']}.safetensors")
            if name in written:
                raise ValueError(f"two runs are to be written to {name}; give each its file")
            got, counts = evaluate(model, run, Recorded(fixtures, run, index["runs"], sizes))
            save_file(got, out / name)
            written.add(name)
            if counts is not None:
                scores.append(scored(run, counts))
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    failures.raise_any()


def expect_refusal(model: Glamm, retain: int) -> None:
    """Say how a recorded error case is refused.

    Raises:
        RuntimeError: If it is not.
    """
    try:
        check_budget(retain, model.n_tokens)
    except ValueError as error:
        logger.warning("glamm: R = %s is refused: %s", retain, error)
    else:
        raise RuntimeError(f"R = {retain} is taken, though the model has {model.n_tokens} tokens")


def scored(run: dict[str, Any], counts: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """A run's entry in ``scores.json``."""
    named = {key: run[key] for key in ("dataset", "retain", "file") if key in run}
    i_pixels, u_pixels = zip(*counts, strict=True)
    return {**named, "giou": giou(i_pixels, u_pixels), "ciou": ciou(i_pixels, u_pixels)}


def evaluate(
    model: Glamm, run: dict[str, Any], inputs: Recorded
) -> tuple[dict[str, Tensor], list[tuple[int, int]] | None]:
    """Tensors of every image of a run, and the pixel counts of its expressions.

    The counts are None if an image has no targets.
    """
    got: dict[str, Tensor] = {}
    counts: list[tuple[int, int]] = []
    complete = True
    for i, item in enumerate(run["items"]):
        answer = ground(model, i, item, inputs)
        got |= {f"{i}.{name}": tensor.contiguous() for name, tensor in answer.items()}
        targets = inputs.targets(i, item)
        if targets is None:
            logger.warning(
                "glamm: image %d has no targets, so R = %s gets no score", i, run["retain"]
            )
            complete = False
            continue
        # As in the official loop, the shorter of the two lists decides.
        masks = zip((answer["pred_masks"] > 0).numpy(), targets.numpy(), strict=False)
        counts += [intersection_union(mask, target) for mask, target in masks]
    return got, counts if complete and counts else None


def ground(model: Glamm, i: int, item: dict[str, Any], inputs: Recorded) -> dict[str, Tensor]:
    """One image's conversation under LiteLVLM."""
    talk = talk_of(item)
    clip, sam = (pixels.to(model.device) for pixels in inputs.pixels(i, item))
    state = ImageState(
        model.tower.image(clip), encode_image(model.sam, sam), *inputs.geometry(i, item)
    )
    selection = get_pruner("litelvlm").select(model.cues(state, talk), inputs.run["retain"])
    grounding = model.ground([state], [talk], [selection])[0]
    answer = {
        "input_ids": torch.tensor([model.tokenizer.encode(full_prompt(talk))]),
        "retained_idx": selection.indices,
        "projected_tokens": model.visual_tokens(state, selection)[None],
        "seg_embeddings": grounding.seg_embeddings[:, None],
        "pred_masks": grounding.logits[:, 0],
    }
    return {name: tensor.cpu() for name, tensor in answer.items()}


def write_tokenisation(fixtures: Path, index: dict[str, Any], out: Path) -> None:
    """Prompts, ids and pieces of the recorded turns.

    A turn is (expression, question template, answer template).
    """
    tokenizer = GlammTokenizer.from_pretrained(fixtures / "llama_tokenizer")
    entries = []
    for turns in listed_turns(fixtures, index):
        prompt = full_prompt(conversation(*zip(*turns, strict=True)))
        ids = tokenizer.encode(prompt)
        pieces = [tokenizer.special_text.get(i) or tokenizer.pieces.id_to_piece(i) for i in ids]
        entries.append({"turns": turns, "prompt": prompt, "input_ids": ids, "pieces": pieces})
    (out / "tokenisation.json").write_text(json.dumps(entries, indent=1) + "\n")


def listed_turns(fixtures: Path, index: dict[str, Any]) -> Iterator[list[list[Any]]]:
    """Turns of the listing; without one, those of the recorded conversations, each once."""
    listing = fixtures / "tokenisation.json"
    entries = json.loads(listing.read_text()) if listing.is_file() else []
    if entries and all("turns" in entry for entry in entries):
        yield from (entry["turns"] for entry in entries)
        return
    seen = set()
    for item in (item for run in index["runs"] for item in run.get("items", [])):
        if item["conversation"] in seen:
            continue
        seen.add(item["conversation"])
        talk = talk_of(item)
        spoken = zip(talk.expressions, talk.questions, talk.answers, strict=True)
        yield [
            [text, question_index(text, asked), ANSWERS.index(answered)]
            for text, asked, answered in spoken
        ]


def question_index(text: str, asked: str) -> int:
    """The template that makes this question of this expression.

    Raises:
        ValueError: If none does.
    """
    for i in range(len(QUESTIONS)):
        if question(text, i) == asked:
            return i
    raise ValueError(f"no template makes {asked!r} of {text!r}")
