"""A small grounding model on a frozen image tower: it reads patch states and masks one object.

It stands for what GLaMM does behind CLIP. Where the object is must come from the tokens: a cell of
the mask knows its place and the category that is asked for, and nothing of the image.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from litelvlm.training.clip_parts import sines
from litelvlm.training.glamm.sam import mask_losses
from litelvlm.training.loop import Losses, Stage, run_stage

HEADS = 4
_SMALLEST = 1e-3  # of the mean variance; directions below it are not blown up


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of scenes whose states are known.

    Attributes:
        states: Patch states of each scene at the layer that GLaMM reads [B, N, D].
        scene: Index of each object's scene [K].
        category: Place of its category among those of the tower [K].
        inside: Its cells [K, N].
        known: Cells that are mostly covered or free; the others do not count [K, N].
    """

    states: Float[Tensor, "b n d"]
    scene: Int[Tensor, " k"]
    category: Int[Tensor, " k"]
    inside: Bool[Tensor, "k n"]
    known: Bool[Tensor, "k n"]

    def __len__(self) -> int:
        return len(self.scene)


@dataclass(frozen=True)
class ReaderPlan:
    """Size and training of a reader.

    Attributes:
        width: Of its blocks.
        depth: Blocks.
        gates: Products of state and category.
        steps: Optimiser steps.
        batch: Objects a step.
        rate: Peak learning rate.
    """

    width: int = 64
    depth: int = 2
    gates: int = 128
    steps: int = 600
    batch: int = 128
    rate: float = 4e-3


class Reader(nn.Module):
    """Mask logits of one object from patch states and a category.

    One state, which starts as the category, looks at the tokens block after block, as GLaMM's [SEG]
    state does. Its products with learned vectors of the cells are the mask. A token carries the
    position that the tower put into it; none is added here.

    Args:
        states: That it will be trained on [B, N, D]; a fixed linear map makes them white.
        categories: Number of categories.
        plan: Size of the reader.
    """

    centre: Tensor
    whitening: Tensor

    def __init__(self, states: Float[Tensor, "b n d"], categories: int, plan: ReaderPlan) -> None:
        super().__init__()
        cells, width = states.shape[1:]
        flat = states.reshape(-1, width)
        centred = flat - flat.mean(dim=0)
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(flat))
        variances = variances.clamp_min(0) + _SMALLEST * variances.mean()
        self.register_buffer("centre", flat.mean(dim=0))
        self.register_buffer("whitening", directions / variances.sqrt())
        self.project = nn.Linear(width, plan.width)
        self.category = nn.Embedding(categories, plan.width)
        self.factor = nn.Linear(width, plan.gates)
        self.gate = nn.Embedding(categories, plan.gates)
        self.product = nn.Linear(plan.gates, plan.width)
        self.blocks = nn.ModuleList(_Look(plan.width) for _ in range(plan.depth))
        self.head = nn.Sequential(
            nn.LayerNorm(plan.width),
            nn.Linear(plan.width, 4 * plan.width),
            nn.GELU(),
            nn.Linear(4 * plan.width, plan.width + 1),
        )
        self.cells = nn.Parameter(sines(round(cells**0.5), plan.width).clone())

    def forward(
        self, states: Float[Tensor, "k r d"], category: Int[Tensor, " k"]
    ) -> Float[Tensor, "k n"]:
        """Logits of the cells.

        Args:
            states: Of the kept tokens, in any order.
            category: That is asked for.
        """
        white = (states - self.centre) @ self.whitening
        matched = self.product(self.factor(white) * self.gate(category)[:, None])
        tokens = self.project(white) + matched
        state = self.category(category)[:, None]
        for block in self.blocks:
            state = block(state, tokens)
        found = self.head(state[:, 0])
        logits: Tensor = found[:, :-1] @ self.cells.T + found[:, -1:]
        return logits


class _Look(nn.Module):
    """One block: a state looks at the tokens, then a feed-forward network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self, state: Float[Tensor, "k s w"], tokens: Float[Tensor, "k r w"]
    ) -> Float[Tensor, "k s w"]:
        state = state + self.attention(self.before(state), tokens, tokens, need_weights=False)[0]
        seen: Tensor = state + self.feed_forward(state)
        return seen


def train_reader(objects: Objects, categories: int, seed: int, plan: ReaderPlan) -> Reader:
    """Train a reader with all tokens of the given scenes; the states stay as they are.

    On a CPU the weights follow from the seed, which draws them and the order of objects.

    Args:
        objects: To learn from.
        categories: Number of categories.
        seed: Not negative.
        plan: Size and training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(objects.states, categories, plan)
    stage = Stage(
        "reader",
        steps=plan.steps,
        batch=plan.batch,
        lr=plan.rate,
        warmup=plan.steps // 10,
        save_every=plan.steps,
        autocast=False,
    )

    def losses(step: int) -> Losses:
        rng = np.random.default_rng([seed, step, 4])
        drawn = torch.from_numpy(rng.integers(len(objects), size=plan.batch))
        logits = reader(objects.states[objects.scene[drawn]], objects.category[drawn])
        inside, known = objects.inside[drawn].float(), objects.known[drawn].float()
        return mask_losses(logits[:, None], inside[:, None], known[:, None])

    with TemporaryDirectory() as folder:
        run_stage(stage, reader, losses, Path(folder), objects.states.device)
    return reader.eval()


@torch.inference_mode()
def mask_iou(reader: Reader, objects: Objects, kept: Int[Tensor, "k r"]) -> Float[Tensor, " k"]:
    """IoU of the predicted and the true cells of each object, from the kept tokens alone.

    Args:
        reader: Trained.
        objects: Whose cells are known.
        kept: Indices of the tokens that are left for each object.
    """
    states = objects.states[objects.scene[:, None], kept]
    return cell_iou(reader(states, objects.category) > 0, objects)


def cell_iou(predicted: Bool[Tensor, "... n"], objects: Objects) -> Float[Tensor, " k"]:
    """IoU of predicted cells, one mask for each object or one for all."""
    marked = predicted & objects.known
    both = (marked & objects.inside).sum(dim=1)
    return both / (marked | objects.inside).sum(dim=1)


def constant_mask(objects: Objects) -> Bool[Tensor, " n"]:
    """The one mask with the highest mean IoU over all objects among those of the likeliest cells.

    It is the best that a reader without tokens can do where categories have no places of their own.
    """
    order = objects.inside.sum(dim=0).argsort(descending=True, stable=True)
    masks = torch.zeros(len(order), len(order), dtype=torch.bool)
    for count in range(len(order)):
        masks[count:, order[count]] = True
    return masks[int(torch.stack([cell_iou(mask, objects).mean() for mask in masks]).argmax())]
