"""The language side learns to point at the object that a sentence means, and SAM2 to draw it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litelvlm.arrays import Array
from litelvlm.data.worlds.moving.objects import FRAMES, MOTIONS
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS
from litelvlm.models.templates import filled_conversation
from litelvlm.models.video_glamm import prompts
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.models.video_glamm.prompts import END, full_prompt
from litelvlm.models.video_glamm.tokenizer import IMAGE_INDEX, Phi3Tokenizer
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.packing import IGNORE, Packed, Turns, next_token_loss, pack
from litelvlm.training.video_glamm.images import SIDE, ImageTokens
from litelvlm.training.video_glamm.language import LanguageSide
from litelvlm.training.video_glamm.pool import ClipBatch, ClipPool, video_pixels
from litelvlm.training.video_glamm.sizes import VIDEO, WIDTH
from litelvlm.training.worlds.pictograms import NATURAL

_EXPRESSIONS = 4  # of a clip
_VIDEO_SIDE = VIDEO.grid // 2
N_TOKENS = FRAMES * (SIDE**2 + _VIDEO_SIDE**2)
"""Visual tokens of a clip."""
_VALUES = (tuple(CATEGORIES), (NATURAL, *TINTS), tuple(LEVELS["easy"].sizes), MOTIONS)
_CELLS = 12  # of the grid that places in the first frame are named on, along one side


class Helper(nn.Module):
    """Read-outs of the video tower and of the [SEG] state; trained along, then dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = nn.Linear(VIDEO.hidden_size, 5)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, len(values)) for values in _VALUES)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.cell, self.way = nn.Linear(WIDTH, _CELLS**2), nn.Linear(WIDTH, 2 * FRAMES)

    def of_video(self, states: Tensor, batch: ClipBatch) -> Losses:
        """What each patch of the video tower shows: an object or not, its centre and its way.

        Args:
            states: Of the patches [B, F, N, D].
            batch: The clips.
        """
        shares = object_shares(batch.ids, VIDEO.grid).to(states.device)  # [B, F, N, objects]
        share, owner = shares.max(-1)
        owned = share > 0.3
        found = self.motion(states).float()
        centres = batch.centres.to(states.device).nan_to_num().transpose(1, 2)  # [B, F, objects, 2]
        step = (batch.centres[:, :, 1] - batch.centres[:, :, 0]).to(states.device).nan_to_num()
        known = torch.cat([centres, 10 * step[:, None].expand_as(centres)], -1)
        wanted = known.gather(2, owner[..., None].expand(-1, -1, -1, 4))
        there = F.binary_cross_entropy_with_logits(found[..., 0], owned.float())
        return {
            "there": there,
            "moves": F.mse_loss(found[..., 1:][owned], wanted[owned]),
            "_moves": (found[..., 3:] - wanted[..., 2:])[owned].abs().mean() / 10,
        }

    def of_state(self, state: Tensor, visual: Tensor, batch: ClipBatch, objects: Tensor) -> Losses:
        """What the state that predicts [SEG] knows of the object that is meant.

        Args:
            state: Of each sentence [B, T, E].
            visual: States of the visual tokens [B, N, E].
            batch: The clips.
            objects: The object of each sentence [B, T].
        """
        device, rows = state.device, torch.arange(len(objects))[:, None]
        shares = object_shares(batch.ids, SIDE).flatten(1, 2).transpose(1, 2)
        target = shares[rows, objects].to(device)
        target = target / target.sum(-1, keepdim=True).clamp_min(1e-6)
        image = visual[:, : target.shape[-1]]
        dots = (self.query(state) @ self.key(image).transpose(1, 2) * WIDTH**-0.5).float()
        centres = batch.centres[rows, objects].to(device)  # [B, T, F, 2]
        x, y = (centres[:, :, 0].clamp(0, 0.999) * _CELLS).long().unbind(-1)
        cells = self.cell(state).float()
        values = torch.tensor(
            [
                [
                    [v.index(w) for v, w in zip(_VALUES, meta["objects"][o], strict=True)]
                    for o in row
                ]
                for meta, row in zip(batch.meta, objects.tolist(), strict=True)
            ]
        ).to(device)
        named = [
            F.cross_entropy(head(state).float().flatten(0, 1), values[..., i].flatten())
            for i, head in enumerate(self.heads)
        ]
        hit = target.gather(-1, dots.argmax(-1, keepdim=True))[..., 0] > 0
        place = y * _CELLS + x
        return {
            "match": -(target * dots.log_softmax(-1)).sum(-1).mean(),
            "cell": 0.5 * F.cross_entropy(cells.flatten(0, 1), place.flatten()),
            "way": 2 * F.mse_loss(self.way(state).float(), centres.flatten(2)),
            "what": torch.stack(named).mean(),
            "_match": hit.float().mean(),
            "_cell": (cells.argmax(-1) == place).float().mean(),
        }


def object_shares(ids: Tensor, side: int) -> Tensor:
    """Share of each cell that each object covers [B, F, side * side, objects].

    Args:
        ids: Object index + 1 per pixel [B, F, S, S].
        side: Cells along one side of a frame.
    """
    planes = torch.stack([(ids == number).float() for number in range(1, 5)], 2)
    cells = F.adaptive_avg_pool2d(planes.flatten(0, 1), side).flatten(2).transpose(1, 2)
    return cells.unflatten(0, ids.shape[:2])


def draw_sentences(batch: ClipBatch, rng: np.random.Generator) -> tuple[list[list[str]], Tensor]:
    """Sentences of each clip, repeated where there are few, and their objects [B, T]."""
    sentences: list[list[str]] = []
    objects = torch.zeros(len(batch.meta), _EXPRESSIONS, dtype=torch.long)
    for row, meta in zip(objects, batch.meta, strict=True):
        order = np.resize(rng.permutation(len(meta["expressions"])), _EXPRESSIONS)
        chosen = [meta["expressions"][i] for i in order]
        sentences.append([sentence for sentence, _, _ in chosen])
        row[:] = torch.tensor([target for _, target, _ in chosen])
    return sentences, objects


def pack_sentences(
    tokenizer: Phi3Tokenizer, sentences: Sequence[Sequence[str]], rng: np.random.Generator
) -> Packed:
    """Rows of a clip and conversations about it, one for each sentence; answers are learned."""

    def text(sentence: str) -> list[int]:
        asked, answered = (int(rng.integers(len(t))) for t in (prompts.QUESTIONS, prompts.ANSWERS))
        spoken = filled_conversation(
            lambda words, index: prompts.question(words, index, FRAMES),
            prompts.ANSWERS,
            [sentence],
            asked,
            answered,
        )
        return tokenizer.encode(full_prompt(spoken, FRAMES, marked=False))

    ids = [[text(sentence) for sentence in row] for row in sentences]
    start = ids[0][0].index(IMAGE_INDEX)
    assistant, end = tokenizer.added["<|assistant|>"].id, tokenizer.added[END].id

    def turns(tokens: list[int]) -> Turns:
        begin = tokens.index(assistant) + 1
        last = tokens.index(end, begin)
        targets = [IGNORE] * len(tokens)
        targets[begin - 1 : last] = tokens[begin : last + 1]
        return Turns(tokens, targets)

    texts = [[turns(one[start + FRAMES :]) for one in row] for row in ids]
    return pack(ids[0][0][:start], [], N_TOKENS, texts, rng, tokenizer.seg_id)


def video_states(side: LanguageSide, small: Tensor) -> Tensor:
    """Patch states of the video tower [B, F, N, D] of frames [B, F, V, V, 3]."""
    pixels = video_pixels(small.flatten(0, 1)).unflatten(0, (-1, VIDEO.frames))
    states = side.video_tower(pixels)[:, 1:].unflatten(1, (VIDEO.frames, -1))
    found: Tensor = states.flatten(0, 1).unflatten(0, small.shape[:2])
    return found


def forward_packed(side: LanguageSide, packed: Packed, visual: Tensor) -> tuple[Tensor, Tensor]:
    """States of the rows [B, S, E], and those that predict a [SEG] [B, T, E]."""
    phi3, device = side.phi3, visual.device
    embeds = phi3.model.embed_tokens(packed.ids.to(device))
    parts = [embeds[:, : packed.start], visual.to(embeds.dtype), embeds[:, packed.end :]]
    low = torch.bfloat16 if torch.is_autocast_enabled(device.type) else embeds.dtype
    states: Tensor = phi3.model(
        inputs_embeds=torch.cat(parts, 1),
        attention_mask=packed.attention_mask.to(device, low).expand(len(visual), -1, -1, -1),
        position_ids=packed.position_ids.to(device),
        use_cache=False,
    ).last_hidden_state
    return states, torch.stack([states[b, list(at)] for b, at in enumerate(packed.seg_index)])


def train_pointing(
    stage: Stage,
    side: LanguageSide,
    helper: Helper,
    goal: Array,
    tokenizer: Phi3Tokenizer,
    pool: ClipPool,
    images: ImageTokens,
    folder: Path,
    seed: int,
    device: torch.device,
) -> None:
    """Train the language side and the video tower in place; no mask is decoded.

    Args:
        stage: Length and rate.
        side: What is trained.
        helper: Trained along.
        goal: SAM2's point encoding: directions of the sines [2, C / 2].
        tokenizer: Phi-3's.
        pool: Clips.
        images: CLIP's tokens of them.
        folder: Where the states go.
        seed: Order of the clips and every choice.
        device: Where to train.
    """
    trained = nn.ModuleDict({"side": side, "helper": helper}).to(device).train()
    sines = torch.from_numpy(goal).to(device)

    def losses(step: int) -> Losses:
        rng = np.random.default_rng([seed, step, 7])
        indices = pool.indices(seed + 2, step, stage.batch)
        batch = pool[indices]
        sentences, objects = draw_sentences(batch, rng)
        packed = pack_sentences(tokenizer, sentences, rng)
        states = video_states(side, batch.small.to(device))
        video = pool_squares(side.video_projector(states).flatten(0, 1), _VIDEO_SIDE)
        video = video.unflatten(0, states.shape[:2]).flatten(1, 2)
        visual = torch.cat([images[indices].to(device), video], 1)
        hidden, seg = forward_packed(side, packed, visual)
        parts = helper.of_video(states, batch)
        parts |= helper.of_state(seg, hidden[:, packed.start : packed.end], batch, objects)
        rows = torch.arange(len(objects))[:, None]
        centres = batch.centres[rows, objects, 0].clamp(0, 1).to(device)
        wanted = 2 * torch.pi * (2 * centres - 1) @ sines
        wanted = torch.cat([wanted.sin(), wanted.cos()], -1)
        parts["prompt"] = 4 * F.mse_loss(side.seg_head(seg).float(), wanted)
        labels = packed.labels.to(device)
        parts["words"] = 0.2 * next_token_loss(side.phi3, hidden, labels)
        return parts

    run_stage(stage, trained, losses, folder, device)
    side.eval()
