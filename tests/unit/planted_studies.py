"""Simulated studies whose truth is set.

Scores of tokens for texts on images with two objects, as rows of a study.
"""

from contextlib import contextmanager
from functools import partial
from unittest import mock

import numpy as np
import pandas as pd

from litelvlm.analysis.api import bootstrap_means
from litelvlm.analysis.runs import means
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.paired import PairedScores

GRID, SIDE = (8, 8), (2, 3)
N_TOKENS, N_IN = GRID[0] * GRID[1], SIDE[0] * SIDE[1]


@contextmanager
def few_draws(resamples, seed=0):
    """Let claims take fewer draws, for hundreds of simulated studies."""
    few = partial(bootstrap_means, resamples=resamples, seed=seed)
    with mock.patch.object(means, "bootstrap_means", few):
        yield


def place_objects(rng, *shape):
    """Masks [*shape, 2, tokens] of two objects per image, left half and right half."""
    rows, cols = np.divmod(np.arange(N_TOKENS), GRID[1])
    top = rng.integers(0, GRID[0] - SIDE[0] + 1, (*shape, 2, 1))
    half = GRID[1] // 2
    left = rng.integers(0, half - SIDE[1] + 1, (*shape, 2, 1)) + half * np.arange(2)[:, None]
    return (rows >= top) & (rows < top + SIDE[0]) & (cols >= left) & (cols < left + SIDE[1])


def reversal_index_of(scores, inside):
    """RI of every scores-and-mask pair along the last axis.

    Scores have no ties, and masks have ``N_IN`` tokens.
    """
    ranks = scores.argsort(-1).argsort(-1) + 1
    wins = (ranks * inside).sum(-1) - N_IN * (N_IN + 1) / 2
    return 1 - 2 * wins / (N_IN * (N_TOKENS - N_IN))


def reversal_studies(n_studies, n_images=50, background=0.0, instance=0.0, centre=0.0, seed=0):
    """Rows of simulated reversal studies, one frame per study.

    Each image has two expressions, one per object.

    Args:
        background: How much higher tokens outside both objects score, whatever the text says.
        instance: How much lower the named object's tokens score.
        centre: How much lower the tokens score where objects are likely to lie, object or not.
    """
    rng = np.random.default_rng(seed)
    inside = place_objects(rng, n_studies, n_images)
    of_image = rng.normal(size=(n_studies, n_images, 1, N_TOKENS))
    likely = inside.mean((0, 1, 2)) / inside.mean((0, 1, 2)).max()
    common = of_image + background * ~inside.any(2, keepdims=True) - centre * likely
    true = common + rng.normal(size=inside.shape) - instance * inside
    shuffled = common + rng.normal(size=inside.shape)
    found = {
        ("template", "none"): reversal_index_of(true, inside),
        ("shuffled", "other_text"): reversal_index_of(shuffled, inside),
        ("template", "other_masks"): reversal_index_of(true, np.roll(inside, 1, axis=1)),
        ("template", "same_category_object"): reversal_index_of(true, inside[:, :, ::-1]),
    }
    image_ids = np.repeat(np.arange(n_images), 2)
    same = {"clip_model": "", "probe": "released", "layer": -2, "sim": "dot", "labels": "primary"}
    same |= {"visible_frac": 1.0, "category_id": 1}
    keys = same | {"image_id": image_ids, "sent_id": np.arange(2 * n_images)}
    parts = [keys | {"text_mode": mode, "control": control} for mode, control in found]
    frame = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    values = np.concatenate([ri.reshape(n_studies, -1) for ri in found.values()], axis=1)
    return [frame.assign(ri=row) for row in values]


def paired(cells, inter, union, image_ids, categories=None, resamples=300, seed=0):
    """Planted pixels [lines, cells] as paired scores."""
    iou = inter / union
    counts = {"inter_px": inter, "union_px": union, "iou": iou, "p50": (iou > 0.5).astype(float)}
    scores = SCORES["ciou"], SCORES["giou"], SCORES["p50"]
    return PairedScores(cells, counts, image_ids, scores, categories, resamples, seed)
