"""Stages 3 and 4: the language side learns to point, then to prompt the mask decoder.

CLIP and SAM's encoder stay frozen.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.masks.masker import encode_image, low_resolution_masks
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import ANSWERS, QUESTIONS, conversation, full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.training.glamm.sam import mask_losses, object_masks, point_prompt
from litelvlm.training.glamm.sizes import GRID
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.packing import (
    Packed,
    answer_turns,
    forward_packed,
    next_token_loss,
    pack,
)
from litelvlm.training.pool import MAX_OBJECTS, ScenePool
from litelvlm.training.worlds.base import TrainingWorld, attribute_labels, draw_sentences

_EXPRESSIONS = 6  # a scene
_MASKS = 3  # of them decoded to masks in the joint stage
# Share of steps that put all expressions of a scene into one conversation of several turns.
_CONVERSATIONS = 0.2


class PointingHelper(nn.Module):
    """Read-outs of the state that predicts [SEG]; trained along, then dropped.

    Args:
        width: LLM width.
        world: Names the attributes and their values.
    """

    def __init__(self, width: int, world: TrainingWorld) -> None:
        super().__init__()
        self.values = world.attributes
        self.heads = nn.ModuleList(nn.Linear(width, len(v)) for v in self.values)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.cell = nn.Linear(width, GRID * GRID)

    def what(self, seg_state: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the referent's attributes [B, T, A].

        Mostly a matter of the words: it teaches the state to gather them, before there is anything
        to match.
        """
        parts = [
            F.cross_entropy(head(seg_state).float().flatten(0, 1), labels[..., i].flatten())
            for i, head in enumerate(self.heads)
        ]
        return torch.stack(parts).mean()

    def losses(
        self, seg_state: Tensor, visual_state: Tensor, target: Tensor, seen: Tensor
    ) -> Losses:
        """Cross-entropy of two pointers with the referent's coverage.

        Args:
            seg_state: States predicting [SEG] [B, T, d].
            visual_state: States of the visual tokens [B, N, d].
            target: Coverage of the referents, normalised over patches [B, T, N].
            seen: Referents with any patch in the crop [B, T].
        """
        dots = (
            self.query(seg_state)
            @ self.key(visual_state).transpose(1, 2)
            * seg_state.shape[-1] ** -0.5
        )
        parts = {}
        for name, logits in (("match", dots.float()), ("cell", self.cell(seg_state).float())):
            loss = -(target * logits.log_softmax(-1)).sum(-1)
            parts[name] = (loss * seen).sum() / seen.sum()
            hit = target.gather(-1, logits.argmax(-1, keepdim=True))[..., 0] > 0
            parts[f"_{name}_acc"] = (hit * seen).sum() / seen.sum()
        return parts


def draw_conversations(
    sentences: Sequence[Sequence[str]], rng: np.random.Generator
) -> list[list[Conversation]]:
    """Each sentence in a conversation of its own, or now and then all of a scene's in one."""

    def draw(n: int) -> tuple[list[int], list[int]]:
        questions, answers = (rng.integers(len(part), size=n) for part in (QUESTIONS, ANSWERS))
        return questions.tolist(), answers.tolist()

    if rng.random() < _CONVERSATIONS:
        return [[conversation(row, *draw(len(row)))] for row in sentences]
    return [[conversation([s], *draw(1)) for s in row] for row in sentences]


def pack_conversations(
    tokenizer: GlammTokenizer,
    n_tokens: int,
    conversations: Sequence[Sequence[Conversation]],
    rng: np.random.Generator,
) -> Packed:
    """Build the rows; answers are learned.

    Args:
        tokenizer: Of the model.
        n_tokens: Visual tokens of an image.
        conversations: Per scene the same number of conversations, each starting from the image;
            [SEG] counts must agree between scenes.
        rng: Draws the rotary offsets.
    """
    ids = [[tokenizer.encode(full_prompt(entry)) for entry in row] for row in conversations]
    first = ids[0][0]
    # The first question starts after the newline that ends the image sentence.
    head = first.index(tokenizer.pieces.piece_to_id("<0x0A>")) + 1
    start = first.index(IMAGE_INDEX)
    texts = [[answer_turns(tokenizer, full[head:]) for full in row] for row in ids]
    before, after = first[:start], first[start + 1 : head]
    return pack(before, after, n_tokens, texts, rng, tokenizer.seg_id)


def inner_points(ids: Tensor, objects: Tensor) -> Tensor:
    """The pixel of each object nearest to its centroid: (x, y) [B, T, 2] in SAM pixels."""
    points = torch.zeros(*objects.shape, 2)
    for b in range(len(ids)):
        for t, o in enumerate(objects[b].tolist()):
            rows, columns = torch.nonzero(ids[b] == o + 1, as_tuple=True)
            away = (rows - rows.float().mean()) ** 2 + (columns - columns.float().mean()) ** 2
            at = int(away.argmin())
            points[b, t] = torch.tensor([float(columns[at]), float(rows[at])])
    return points


def train_grounding(
    stage: Stage,
    model: Glamm,
    helper: PointingHelper,
    pool: ScenePool,
    folder: Path,
    seed: int,
    *,
    masks: bool,
) -> None:
    """Train the language side in place.

    Args:
        stage: Length and rate.
        model: CLIP, and SAM but for the mask decoder, stay as they are.
        helper: Pointers shared by both stages.
        pool: Training scenes.
        folder: Where the states go.
        seed: Order of the scenes and of every choice.
        masks: False: pointing only; True: masks too, and the mask decoder learns.
    """
    device = model.device
    model.requires_grad_(False)
    parts = {"llama": model.llama, "projector": model.projector, "seg_head": model.seg_head}
    parts["helper"] = helper
    if masks:
        parts["mask_decoder"] = model.sam.mask_decoder
    trained = nn.ModuleDict(parts).requires_grad_(True).to(device).train()

    def losses(step: int) -> Losses:
        rng = np.random.default_rng([seed, step, int(masks)])
        batch = pool[pool.indices(seed + 2, step, stage.batch)]
        sentences, objects = draw_sentences(batch.meta, _EXPRESSIONS, rng)
        with torch.no_grad():
            tokens = model.tower.image(batch.crop.to(device)).patch_tokens
        talks = draw_conversations(sentences, rng)
        packed = pack_conversations(model.tokenizer, tokens.shape[1], talks, rng)
        given = forward_packed(model.llama, packed, model.projector(tokens))
        hidden_states, seg_state = given.hidden_states, given.stacked
        rows = torch.arange(len(sentences), device=device)[:, None]
        coverage = batch.coverage.to(device).transpose(1, 2)[rows, objects.to(device)]  # [B, T, N]
        seen = (coverage.sum(-1) > 0).float()
        target = coverage / coverage.sum(-1, keepdim=True).clamp_min(1e-6)
        parts = helper.losses(seg_state, hidden_states[:, packed.start : packed.end], target, seen)
        labels = attribute_labels(batch.meta, helper.values, MAX_OBJECTS)[rows.cpu(), objects].to(
            device
        )
        parts["what"] = helper.what(seg_state, labels)
        prompts = model.seg_head(seg_state)[:, :, None]
        with torch.no_grad():
            goal = point_prompt(model.sam, inner_points(batch.ids, objects).to(device))
        parts["prompt"] = (4.0 if not masks else 0.2) * F.mse_loss(prompts.float(), goal.float())
        parts["words"] = 0.2 * next_token_loss(model.llama, hidden_states, packed.labels.to(device))
        if masks:
            with torch.no_grad():
                embeddings = encode_image(model.sam, batch.square.to(device))
            few = slice(0, _MASKS)
            logits = low_resolution_masks(model.sam, embeddings, prompts[:, few])
            parts |= mask_losses(
                logits, *object_masks(batch.ids.to(device), objects[:, few].to(device))
            )
            for name in ("match", "cell", "what"):
                parts[name] = 0.3 * parts[name]
        return parts

    run_stage(stage, trained, losses, folder, device)
    model.eval()
