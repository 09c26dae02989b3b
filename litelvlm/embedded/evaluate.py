"""Held-out scores of the miniature: how well it grounds, and how much it depends on its visual tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from PIL import Image
from scipy.stats import bootstrap
from tqdm.auto import tqdm

from litelvlm.clip.geometry import coverage
from litelvlm.data.refer import ReferDataset
from litelvlm.glamm.model import Glamm, ImageState
from litelvlm.glamm.prompts import conversation
from litelvlm.metrics import intersection_union
from litelvlm.pruning import Pruner, Selection, get_pruner

_BATCH = 24  # conversations grounded at once


@dataclass(frozen=True)
class Condition:
    """One row of the score table.

    Attributes:
        name: What it is called.
        pruner: None keeps all tokens.
        budget: Tokens kept.
        blank: Feed a grey image of the same size instead.
    """

    name: str
    pruner: Pruner | None = None
    budget: int | None = None
    blank: bool = False


def conditions(n_tokens: int) -> list[Condition]:
    """Unpruned, random at four budgets, the oracles under both position policies, and a blank image."""
    third = n_tokens // 3
    oracle = get_pruner("mask_oracle", positions="original")
    return [
        Condition("unpruned"),
        *(
            Condition(f"random {b}", get_pruner("random", positions="original"), b)
            for b in (third, third * 2 // 3, third // 3, third // 6)
        ),
        Condition(f"mask oracle {third}, original positions", oracle, third),
        Condition(f"mask oracle {third}, contiguous positions", get_pruner("mask_oracle"), third),
        Condition(f"inverse mask oracle {third}", get_pruner("inverse_mask_oracle", positions="original"), third),
        Condition("blank image", blank=True),
    ]


class Scores(NamedTuple):
    """Per expression and condition.

    Attributes:
        intersection, union: Pixels [n expressions, n conditions].
        image: Index of the image of each expression [n].
        kind: "attribute", "place" or "relation" [n], "" where the data does not say.
    """

    intersection: np.ndarray
    union: np.ndarray
    image: np.ndarray
    kind: tuple[str, ...]


def evaluate(model: Glamm, data: ReferDataset, table: Sequence[Condition]) -> Scores:
    """Ground every expression of a split alone, with the first question and answer template, under each condition."""
    hits, totals, images, kinds = [], [], [], []
    for index, sample in enumerate(tqdm(data, desc="scoring", unit="image")):
        picture = sample.image()
        state = model.encode_image(picture)
        grey = model.encode_image(Image.new("RGB", picture.size, (127, 127, 127)))
        masks = sample.masks()
        jobs: list[tuple[ImageState, int, Condition]] = [
            (grey if row.blank else state, e, row) for e in range(len(sample.expressions)) for row in table
        ]
        found: list[tuple[int, int]] = []
        for at in range(0, len(jobs), _BATCH):
            part = jobs[at : at + _BATCH]
            talks = [conversation([sample.expressions[e].sent]) for _, e, _ in part]
            chosen: list[Selection | None] = []
            for (job_state, e, row), talk in zip(part, talks, strict=True):
                if row.pruner is None or row.budget is None:
                    chosen.append(None)
                    continue
                truth = torch.from_numpy(coverage(masks[e], model.grid, model.tower.image_size))
                cues = model.cues(job_state, talk.questions, coverage=truth, key=sample.image_id)
                chosen.append(row.pruner.select(cues, row.budget))
            groundings = model.ground([s for s, _, _ in part], talks, chosen)
            found += [
                intersection_union(g.mask[0].cpu().numpy(), masks[e])
                for g, (_, e, _) in zip(groundings, part, strict=True)
            ]
        shape = (len(sample.expressions), len(table))
        hits.append(np.array([i for i, _ in found]).reshape(shape))
        totals.append(np.array([u for _, u in found]).reshape(shape))
        images += [index] * len(sample.expressions)
        kinds += [e.kind or "" for e in sample.expressions]
    return Scores(np.concatenate(hits), np.concatenate(totals), np.array(images), tuple(kinds))


def by_image(values: np.ndarray, image: Int[np.ndarray, "n"]) -> np.ndarray:
    """Sum of the rows of each image [n_images, ...]."""
    out = np.zeros((int(image.max()) + 1, *values.shape[1:]))
    np.add.at(out, image, values)
    return out


def interval(statistic: Callable[..., np.ndarray], *columns: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Value and 95 % percentile interval, images resampled.

    Args:
        statistic: Takes the columns and ``axis``.
        columns: Per-image sums [n_images].
        seed: Of the resampling.
    """
    result = bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        batch=200,
        rng=np.random.default_rng(seed),
    )
    value = float(statistic(*columns, axis=-1))
    return value, float(result.confidence_interval.low), float(result.confidence_interval.high)


def ratio(numerator: np.ndarray, denominator: np.ndarray, axis: int = -1) -> np.ndarray:
    """Ratio of sums: cIoU from intersections and unions, a mean from sums and counts."""
    quotient: np.ndarray = numerator.sum(axis) / denominator.sum(axis)
    return quotient


@torch.inference_mode()
def retrieval(model: Glamm, data: ReferDataset, group: int = 64) -> tuple[float, int]:
    """CLIP retrieval on held-out scenes: how often a description of all objects picks its image among ``group``.

    Uses the generator's own scene descriptions, so the images are those of evaluation seeds.

    Returns:
        Recall at 1 of image to text, and the number of images.
    """
    from litelvlm.data.scenes import sample_scene
    from litelvlm.embedded.captions import caption_pair
    from litelvlm.embedded.pool import pack
    from litelvlm.glamm.preprocess import clip_pixel_values

    rng, hits, n = np.random.default_rng(0), 0, 0
    for start in range(0, len(data) // group * group, group):
        scenes = [sample_scene(start + i) for i in range(group)]
        pixels = torch.cat([clip_pixel_values(Image.fromarray(s.image), model.tower.image_size) for s in scenes])
        texts = []
        for scene in scenes:
            meta = pack(scene)[-1]
            texts.append(caption_pair(meta["objects"], np.ones(len(scene.objects)), (), rng)[0])
        image = F.normalize(model.tower.image(pixels.to(model.device)).image_embeds, dim=-1)
        text = F.normalize(model.tower.text(texts).text_embeds, dim=-1)
        hits += int(((image @ text.T).argmax(1).cpu() == torch.arange(group)).sum())
        n += group
    return hits / n, n
