"""Held-out scores of the miniature: how well it grounds, and how much it needs visual tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from scipy.stats import bootstrap
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.clip.geometry import coverage, visible_fraction
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.metrics import count_pixels
from litelvlm.models.base import Request
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.preprocess import clip_pixel_values
from litelvlm.models.glamm.prompting.prompts import conversation
from litelvlm.models.requests import places_by_target
from litelvlm.pruning import Pruner, get_pruner
from litelvlm.training.pool import scene_arrays
from litelvlm.training.worlds.base import TrainingWorld

_RETRIEVAL_SEED = 40_000  # scenes of no split, and of no training
_GROUPS, _GROUP = 10, 64  # groups of scenes for the retrieval, and scenes of a group


@dataclass(frozen=True)
class ScoredCondition:
    """One row of the score table.

    Attributes:
        name: What it is called.
        draws: The pruner, several times with other seeds if it draws at random; None keeps all
            tokens.
        budget: Tokens kept.
        blank: Feed a grey image of the same size instead.
    """

    name: str
    draws: tuple[Pruner | None, ...] = (None,)
    budget: int | None = None
    blank: bool = False


def conditions(n_tokens: int) -> list[ScoredCondition]:
    """Unpruned, random at a third and an eighteenth of the tokens, oracles at a third, no image."""
    most, least = n_tokens // 3, n_tokens // 18
    randoms = tuple(get_pruner("random", seed=seed) for seed in range(5))
    return [
        ScoredCondition("unpruned"),
        ScoredCondition(f"random {most}, contiguous positions, 5 draws", randoms, most),
        ScoredCondition(f"random {least}, contiguous positions, 5 draws", randoms, least),
        ScoredCondition(
            f"mask oracle {most}, contiguous positions", (get_pruner("mask_oracle"),), most
        ),
        ScoredCondition(
            f"mask oracle {most}, original positions",
            (get_pruner("mask_oracle", positions="original"),),
            most,
        ),
        ScoredCondition(
            f"inverse mask oracle {most}, contiguous positions",
            (get_pruner("inverse_mask_oracle"),),
            most,
        ),
        ScoredCondition("blank image", blank=True),
    ]


class Scores(NamedTuple):
    """Per expression and condition.

    Attributes:
        intersection, union: Pixels [n expressions, n draws], conditions after one another.
        image: Index of the image of each expression [n].
        kind: "attribute", "place" or "relation" [n], "" where the data does not say.
    """

    intersection: Array
    union: Array
    image: Array
    kind: tuple[str, ...]


def evaluate(
    model: Glamm, data: ReferDataset | Sequence[ReferSample], table: Sequence[ScoredCondition]
) -> Scores:
    """Ground every expression of a split under each condition, in the single protocol.

    The first question and answer template are used.
    """
    columns = [(row, pruner) for row in table for pruner in row.draws]
    grounder, pixels, images, kinds = model.grounder(24), [], [], []
    for index, sample in enumerate(tqdm(data, desc="scoring", unit="image")):
        picture, masks = sample.image(), sample.targets()
        grey = Image.new("RGB", picture.size, (127, 127, 127))
        found = np.zeros((len(sample.expressions), len(columns), 2), dtype=np.int64)
        for blank, shown in ((False, picture), (True, grey)):
            chosen = [column for column, (row, _) in enumerate(columns) if row.blank == blank]
            if not chosen:
                continue
            state = model.encode_image(shown)
            cells = [(line, column) for line in range(len(masks)) for column in chosen]
            requests = [
                _request(model, state, sample, masks[line], line, *columns[column])
                for line, column in cells
            ]
            for answered in grounder(state, requests):
                held = places_by_target(answered.places, [line for line, _ in cells].__getitem__)
                rows, lines = (list(entries) for entries in zip(*held, strict=True))
                targets = torch.from_numpy(masks[lines])[:, None].to(model.device)
                counts = count_pixels(answered.masks[rows], targets)
                both = torch.stack([counts.intersection, counts.union], dim=-1)[:, 0].cpu().numpy()
                for places, numbers in zip(held.values(), both, strict=True):
                    for place in places:
                        found[cells[place]] = numbers
        pixels.append(found)
        images += [index] * len(sample.expressions)
        kinds += [e.kind or "" for e in sample.expressions]
    every = np.concatenate(pixels)
    return Scores(every[..., 0], every[..., 1], np.array(images), tuple(kinds))


def _request(
    model: Glamm,
    state: ImageState,
    sample: ReferSample,
    mask: Array,
    line: int,
    row: ScoredCondition,
    pruner: Pruner | None,
) -> Request:
    """One expression under one condition; an oracle knows the mask."""
    alone = conversation([sample.expressions[line].sent])
    if pruner is None or row.budget is None:
        return Request(alone, None)
    truth = torch.from_numpy(coverage(mask, model.layout.grid, model.tower.image_size))
    cues = model.cues(state, alone, coverage=truth, key=sample.image_id)
    return Request(alone, pruner.select(cues, row.budget))


def by_image(values: Array, image: Int[Array, "n"]) -> Array:
    """Sum of the rows of each image [n_images, ...]."""
    out = np.zeros((int(image.max()) + 1, *values.shape[1:]))
    np.add.at(out, image, values)
    return out


def interval(
    numerator: Float[Array, "images"], denominator: Float[Array, "images"], seed: int = 0
) -> tuple[float, float, float]:
    """Ratio of sums with its 95 % percentile interval, images resampled.

    Args:
        numerator: Sums per image.
        denominator: Sums per image.
        seed: Of the resampling.
    """
    result = bootstrap(
        (numerator, denominator),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        batch=200,
        rng=np.random.default_rng(seed),
    )
    value = float(_ratio(numerator, denominator))
    return value, float(result.confidence_interval.low), float(result.confidence_interval.high)


def _ratio(numerator: Array, denominator: Array, axis: int = -1) -> Array:
    """Ratio of sums: cIoU from intersections and unions, a mean from sums and counts."""
    quotient: Array = numerator.sum(axis) / denominator.sum(axis)
    return quotient


@torch.inference_mode()
def retrieval(model: Glamm, world: TrainingWorld) -> tuple[tuple[float, float, float], int]:
    """How often an image picks the description of its objects among 64 held-out scenes.

    Returns:
        Recall at 1 with its 95 % interval over images, and the number of images.
    """
    rng, hits = np.random.default_rng(0), []
    for number in range(_GROUPS):
        first = _RETRIEVAL_SEED + number * _GROUP
        scenes = [world.sample(first + i) for i in range(_GROUP)]
        pixels = torch.cat(
            [clip_pixel_values(Image.fromarray(s.image), model.tower.image_size) for s in scenes]
        )
        seen = [
            np.array([visible_fraction(m, model.tower.image_size) for m in s.masks]) for s in scenes
        ]
        texts = [
            world.full_caption(scene_arrays(s, world)[-1], share, rng)
            for s, share in zip(scenes, seen, strict=True)
        ]
        image = F.normalize(model.tower.image(pixels.to(model.device)).image_embeds, dim=-1)
        text = F.normalize(model.tower.text(texts).text_embeds, dim=-1)
        hits.append(((image @ text.T).argmax(1).cpu() == torch.arange(_GROUP)).numpy())
    right = np.concatenate(hits).astype(float)
    return interval(right, np.ones_like(right)), len(right)
