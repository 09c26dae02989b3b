"""Read-outs that are trained along with the language side, then dropped."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litelvlm.data.worlds.moving.objects import FRAMES, MOTIONS
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS, TINTS
from litelvlm.training.loop import Losses
from litelvlm.training.video_glamm.images import SIDE
from litelvlm.training.video_glamm.pool import MAX_OBJECTS, ClipBatch
from litelvlm.training.video_glamm.sizes import VIDEO, WIDTH
from litelvlm.training.worlds.base import attribute_labels
from litelvlm.training.worlds.pictograms import NATURAL

VALUES = (tuple(CATEGORIES), (NATURAL, *TINTS), tuple(LEVELS["easy"].sizes), MOTIONS)
"""Of each attribute of an object."""
_OWNED = 0.2  # share of a cell from which on an object lies there
_CELLS = 12  # of the grid that places in the first frame are named on, along one side


class Helper(nn.Module):
    """Read-outs of the video tower and of the [SEG] state; trained along, then dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = nn.Linear(VIDEO.hidden_size, 5)
        self.here = nn.ModuleList(nn.Linear(WIDTH, len(values)) for values in VALUES)
        self.first = nn.Linear(WIDTH, 2)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, len(values)) for values in VALUES)
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

    def of_tokens(self, visual: Tensor, batch: ClipBatch) -> Losses:
        """What the language model knows at each visual token of the object that lies there.

        Where the object was in the first frame, too: a token must know other frames for that.

        Args:
            visual: States of the visual tokens, CLIP's before the video tower's [B, N, E].
            batch: The clips.
        """
        sides = (SIDE, VIDEO.grid // 2)
        shares = torch.cat([object_shares(batch.ids, side).flatten(1, 2) for side in sides], 1)
        share, owner = shares.max(-1)  # [B, N]
        clips, at = torch.nonzero(share > _OWNED, as_tuple=True)
        objects, states = owner[clips, at], visual[clips.to(visual.device), at.to(visual.device)]
        values = attribute_labels(batch.meta, VALUES, MAX_OBJECTS)[clips, objects].to(visual.device)
        first = batch.centres[clips, objects, 0].clamp(-0.2, 1.2).to(visual.device)
        named = [
            F.cross_entropy(head(states).float(), values[:, i]) for i, head in enumerate(self.here)
        ]
        return {
            "here": torch.stack(named).mean(),
            "first": 5 * F.mse_loss(self.first(states).float(), first),
            "_motion": (self.here[3](states).argmax(-1) == values[:, 3]).float().mean(),
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
        values = attribute_labels(batch.meta, VALUES, MAX_OBJECTS)[rows, objects].to(device)
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
    planes = torch.stack([(ids == number).float() for number in range(1, MAX_OBJECTS + 1)], 2)
    cells = F.adaptive_avg_pool2d(planes.flatten(0, 1), side).flatten(2).transpose(1, 2)
    shares: Tensor = cells.unflatten(0, ids.shape[:2])
    return shares
