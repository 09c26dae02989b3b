"""How the language side reads clips in training: several sentences share the tokens of a clip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.templates import filled_conversation
from litelvlm.models.video_glamm import prompts
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.models.video_glamm.prompts import END, full_prompt
from litelvlm.models.video_glamm.tokenizer import IMAGE_INDEX, Phi3Tokenizer
from litelvlm.training.loop import Losses, Stage
from litelvlm.training.packing import IGNORE, Packed, Turns, next_token_loss, pack
from litelvlm.training.video_glamm.helper import Helper
from litelvlm.training.video_glamm.images import SIDE, ImageTokens
from litelvlm.training.video_glamm.language import LanguageSide
from litelvlm.training.video_glamm.pool import ClipBatch, ClipPool, video_pixels
from litelvlm.training.video_glamm.sizes import VIDEO
from litelvlm.training.worlds.base import draw_sentences

_EXPRESSIONS = 4  # of a clip
_VIDEO_SIDE = VIDEO.grid // 2
N_TOKENS = FRAMES * (SIDE**2 + _VIDEO_SIDE**2)
"""Visual tokens of a clip."""


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
    packed = pack(ids[0][0][:start], [], N_TOKENS, texts, None, tokenizer.seg_id)
    return replace(packed, position_ids=_drawn_together(packed, rng))


def _drawn_together(packed: Packed, rng: np.random.Generator) -> Tensor:
    """Rotary positions of rows: half of them plain, in the others CLIP's tokens lie closer.

    Pruning renumbers what stays of every frame, so its frames come closer, evenly. Uneven gaps
    would leave nothing to tell the time of a frame by.
    """
    positions = packed.position_ids.clone()
    image = slice(packed.start, packed.start + FRAMES * SIDE**2)
    for row in positions:
        if rng.random() < 0.5:
            spread = 2.0 ** (-3 * rng.random())
            row[image.stop :] -= (1 - spread) * FRAMES * SIDE**2
            row[image] = packed.start + spread * torch.arange(FRAMES * SIDE**2)
    return positions


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


class Reading(NamedTuple):
    """What one training step read.

    Attributes:
        batch: The clips.
        objects: The object of each sentence [B, T].
        seg: States that predict [SEG] [B, T, E].
        losses: Of everything but masks.
    """

    batch: ClipBatch
    objects: Tensor
    seg: Tensor
    losses: Losses


@dataclass(frozen=True)
class Reader:
    """The language side on the clips of a pool.

    Attributes:
        side: What is trained.
        helper: Trained along.
        tokenizer: Phi-3's.
        pool: Clips.
        images: CLIP's tokens of them.
        seed: Order of the clips and every choice.
        device: Where to train.
    """

    side: LanguageSide
    helper: Helper
    tokenizer: Phi3Tokenizer
    pool: ClipPool
    images: ImageTokens
    seed: int
    device: torch.device

    def trained(self) -> nn.ModuleDict:
        """The modules that learn, on their device."""
        parts = nn.ModuleDict({"side": self.side, "helper": self.helper})
        return parts.to(self.device).train()

    def read(self, stage: Stage, step: int) -> Reading:
        """Read the clips of a step."""
        rng = np.random.default_rng([self.seed, step, 7])
        indices = self.pool.indices(self.seed + 2, step, stage.batch)
        batch = self.pool[indices]
        sentences, objects = draw_sentences(batch.meta, _EXPRESSIONS, rng)
        packed = pack_sentences(self.tokenizer, sentences, rng)
        states = video_states(self.side, batch.small.to(self.device))
        video = pool_squares(self.side.video_projector(states).flatten(0, 1), _VIDEO_SIDE)
        video = video.unflatten(0, states.shape[:2]).flatten(1, 2)
        visual = torch.cat([self.images[indices].to(self.device), video], 1)
        hidden, seg = forward_packed(self.side, packed, visual)
        parts = self.helper.of_video(states, batch)
        tokens = hidden[:, packed.start : packed.end]
        parts |= self.helper.of_tokens(tokens, batch)
        parts |= self.helper.of_state(seg, tokens, batch, objects)
        words = next_token_loss(self.side.phi3, hidden, packed.labels.to(self.device))
        parts["words"] = 0.2 * words
        return Reading(batch, objects, seg, parts)
