"""Masks as answers: one COCO run-length mask in JSON, its pixels counted, scores of a split.

lmms-eval's own standard errors hold for means. cIoU is a ratio of sums, so its interval is made
here, by resampling images.
"""

import json
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from pycocotools import mask as coco

from litelvlm.analysis.stats.bootstrap import Estimate, bootstrap, bootstrap_means, ratios
from litelvlm.analysis.stats.ends import SHARE
from litelvlm.arrays import Array
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.metrics import THRESHOLDS, count_pixels, iou

RESAMPLES = 2000
_MEANS = ("giou", *(f"p{round(100 * threshold)}" for threshold in THRESHOLDS), "unreadable")
SCORES = ("ciou", *_MEANS)
"""The metrics of referring segmentation, and the share of answers that cannot be read."""


class Pixels(TypedDict):
    """Pixels of one expression.

    Attributes:
        intersection: In prediction and target.
        union: In either.
        score: IoU; 1 where both are empty.
        image_id: Image that the expression is about.
        unreadable: Whether the answer could not be read and counts as an empty mask.
    """

    intersection: int
    union: int
    score: float
    image_id: str
    unreadable: bool


def mask_answer(mask: Array) -> str:
    """A mask as the text that a model answers with.

    Args:
        mask: Pixels [height, width], true inside.
    """
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
    return json.dumps({"masks": [rle], "boxes": [], "scores": [1.0]})


def read_mask(answer: str, height: int, width: int) -> Array:
    """The mask of an answer; no mask is an empty one.

    Args:
        answer: JSON with "masks", a list of at most one COCO run-length mask.
        height: Of the image.
        width: Of the image.

    Raises:
        ValueError: If it is no such JSON, holds several masks, or a mask of another size.
    """
    found = read_json(answer.encode()) if answer.strip() else {}
    masks = found.get("masks", []) if isinstance(found, dict) else None
    one = masks[0] if isinstance(masks, list) and len(masks) == 1 else None
    if isinstance(one, dict):
        decoded: Array = decode_mask(one, height, width) > 0
        return decoded
    if masks != []:
        raise ValueError(
            f"the answer {answer[:60]!r} is not a list of at most one mask; write "
            '{"masks": [{"size": [height, width], "counts": "..."}]}'
        )
    return np.zeros((height, width), dtype=bool)


def count_answer(answer: str, target: Array, image: str) -> Pixels:
    """Pixels of one answer; an answer that cannot be read counts as an empty mask.

    Args:
        answer: See ``read_mask``.
        target: As ``ReferSample.mask`` gives it [height, width].
        image: Image that the expression is about.
    """
    height, width = target.shape
    readable = True
    try:
        mask = read_mask(answer, height, width)
    except (ValueError, RecursionError):
        mask, readable = np.zeros((height, width), dtype=bool), False
    counts = count_pixels(torch.from_numpy(mask)[None], torch.from_numpy(target)[None])
    inter, union = int(counts.intersection[0]), int(counts.union[0])
    return {
        "intersection": inter,
        "union": union,
        "score": inter / union if union else 1.0,
        "image_id": image,
        "unreadable": not readable,
    }


def res_estimates(pixels: Sequence[Pixels]) -> dict[str, Estimate]:
    """The scores of a split without the official epsilons: "ciou", "giou", "p50" to "p90".

    "unreadable" is the share of answers that hold no mask that can be read.

    Args:
        pixels: One entry per expression.

    Raises:
        ValueError: If there is none.
    """
    inter = np.array([one["intersection"] for one in pixels], dtype=np.float64)
    union = np.array([one["union"] for one in pixels], dtype=np.float64)
    images = np.array([one["image_id"] for one in pixels])
    whole = bootstrap(np.column_stack([inter, union]), images, ratios, RESAMPLES)
    ious = iou(inter, union, exact=True)
    hits = [ious >= threshold for threshold in THRESHOLDS]
    lost = np.array([one["unreadable"] for one in pixels], dtype=np.float64)
    each = bootstrap_means(np.column_stack([ious, *hits, lost]), images, RESAMPLES, reach=SHARE)
    return {"ciou": whole.estimates()[0], **dict(zip(_MEANS, each.estimates(), strict=True))}
