"""Rows of the reversal study: one image's tokens scored by texts, and every control on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field
from scipy import stats
from torch.nn.functional import normalize

from analysis.config import Budgets, Count, Index, StudyConfig
from analysis.donors import Donor, mask_donors, text_donors
from analysis.engine import ItemResult
from analysis.labels import label_tokens, random_blob, shift_labels, skip_reason, soft_labels, toroidal_shifts
from analysis.ranking_measures import (
    at_budget,
    auroc,
    hedges_g,
    pointing_game,
    reversal_index,
    soft_recall,
    tie_fraction,
)
from analysis.samples import NO_TARGET, Model, key_columns, naming, target_mask, token_coverage
from litelvlm.glamm.preprocess import clip_pixel_values, open_image
from litelvlm.glamm.prompts import QUESTIONS, question

# Probe, layer, similarity and text of the released method: what the primary ranking is.
PRIMARY = ("P0", -2, "dot", "template")
TEXT_FREE = ("centre", "state_norm", "value_norm", "cls_cosine")


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        budgets: Token counts at which precision and recall are taken; None for the published shares.
        question_index: Question template, 0 to 15.
        shifts: Moves of the mask round the grid (N4).
        blobs: Random blobs per expression (N5).
        donors: Foreign texts per expression (N1).
        pool: Expressions that foreign texts and masks are taken from.
    """

    budgets: Budgets | None = None
    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    shifts: Count = 200
    blobs: Index = 20
    donors: Count = 4
    pool: Count = 256


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    model: Any
    data: Any
    config: Config
    budgets: tuple[int, ...]
    donors: Sequence[Donor]
    donor_texts: Float[torch.Tensor, "m p"]
    free_texts: Float[torch.Tensor, "2 p"]


@dataclass(frozen=True)
class Patches:
    """Token states of one image, in float32.

    Attributes:
        used: Second-last layer in the joint space, which the method ranks.
        last: Last layer in the joint space.
        free: Scores that need no text, by name.
    """

    used: Float[torch.Tensor, "n p"]
    last: Float[torch.Tensor, "n p"]
    free: dict[str, Float[np.ndarray, "n"]]


@torch.inference_mode()
def embed_texts(model: Model, texts: Sequence[str], batch: int = 64) -> Float[torch.Tensor, "t p"]:
    """Projected [EOS] states of texts, not normalised, in float32 on the CPU."""
    parts = [
        model.tower.text(list(texts[start : start + batch])).text_embeds.float().cpu()
        for start in range(0, len(texts), batch)
    ]
    return torch.cat(parts)


@torch.inference_mode()
def embed_patches(model: Model, sample: Any) -> Patches:
    """Token states of one image and the scores that need no text."""
    tower = model.tower
    pixels = clip_pixel_values(open_image(sample.image()), tower.image_size)
    weights = next(tower.clip.parameters())
    clip = tower.image(pixels.to(weights.device, weights.dtype))
    tokens, values, cls = (x[0].float().cpu() for x in (clip.patch_tokens, clip.values, clip.cls_token))
    last = tower.project(clip.last_hidden_state[:, 1:])[0].float().cpu()
    rows, cols = model.grid
    row, col = np.divmod(np.arange(rows * cols), cols)
    free = {
        "centre": -np.hypot((row - (rows - 1) / 2) / rows, (col - (cols - 1) / 2) / cols),
        "state_norm": tokens.norm(dim=-1).double().numpy(),
        "value_norm": values.norm(dim=-1).double().numpy(),
        "cls_cosine": (normalize(tokens, dim=-1) @ normalize(cls, dim=-1)).double().numpy(),
    }
    return Patches(clip.patch_embeds[0].float().cpu(), last, free)


def similarity(
    patches: Float[torch.Tensor, "n p"], texts: Float[torch.Tensor, "t p"], kind: str = "dot"
) -> Float[np.ndarray, "t n"]:
    """Scores of every token for every text: raw dot product as released, or cosine."""
    if kind == "cos":
        patches, texts = normalize(patches, dim=-1), normalize(texts, dim=-1)
    scores: np.ndarray = (texts @ patches.T).numpy()
    return scores


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of one image."""
    sample = context.data[index]
    patches = embed_patches(context.model, sample)
    asked = [question(expression.sent, context.config.question_index) for expression in sample.expressions]
    texts = embed_texts(context.model, asked)
    bare = embed_texts(context.model, [expression.sent.strip().lower() for expression in sample.expressions])
    used = similarity(patches.used, texts)
    rows: list[dict[str, Any]] = []
    skipped = []
    for number, expression in enumerate(sample.expressions):
        mask = target_mask(sample, expression)
        covered = token_coverage(mask, context.model)
        reason = NO_TARGET if not mask.any() else skip_reason(covered)
        if reason:
            skipped.append(reason)
            continue
        with naming(sample, expression):
            labels = label_tokens(covered)
            keys = key_columns(context.data, sample, expression, mask, context.model.tower.image_size)
            keys |= {"n_in": labels.n_in, "tiny": labels.tiny, "rank_agreement": _agreement(used, number)}
            scores = {
                ("P0", -2, "dot", "template"): used[number],
                ("P0", -2, "dot", "expression"): similarity(patches.used, bare[number : number + 1])[0],
                ("P0c", -2, "cos", "template"): similarity(patches.used, texts[number : number + 1], "cos")[0],
                ("P1", -1, "dot", "template"): similarity(patches.last, texts[number : number + 1])[0],
            }
            found = [_tags(*tags) | measures(values, covered, context.budgets) for tags, values in scores.items()]
            found += label_rows(used[number], covered)
            found += text_controls(context, patches, sample, expression, covered)
            found += mask_controls(context, used[number], sample, expression, covered)
            found += [
                _tags(name, -2, "none", "none", "N7") | measures(values, covered, context.budgets)
                for name, values in patches.free.items()
            ]
            rows += [keys | row for row in found]
    return ItemResult(rows, tuple(skipped))


def _tags(
    probe: str, layer: int, sim: str, text_mode: str, control: str = "none", labels: str = "primary", n_draws: int = 1
) -> dict[str, Any]:
    return {
        "probe": probe,
        "layer": layer,
        "sim": sim,
        "text_mode": text_mode,
        "control": control,
        "labels": labels,
        "n_draws": n_draws,
    }


def measures(
    scores: Float[np.ndarray, "n"], covered: Float[np.ndarray, "n"], budgets: Sequence[int]
) -> dict[str, float]:
    """Every measure of one ranking against one mask; columns that depend on a budget end in it.

    Raises:
        ValueError: If a score is not finite.
    """
    inside, outside, _ = label_tokens(covered)
    area = auroc(scores, inside, outside)
    row = {
        "auroc": float(area),
        "ri": float(reversal_index(area)),
        "hedges_g": hedges_g(scores, inside, outside),
        "gap": float(scores[inside].mean() - scores[outside].mean()),
        "pointing": pointing_game(scores, inside, outside),
        "chance_pointing": float(inside.sum() / (inside | outside).sum()),
        "tie_frac": tie_fraction(scores),
    }
    for k in budgets:
        found = at_budget(scores, inside, outside, k)
        row |= {
            f"prec_low_{k}": found.precision_low,
            f"rec_low_{k}": found.recall_low,
            f"prec_high_{k}": found.precision_high,
            f"rec_high_{k}": found.recall_high,
            f"chance_prec_{k}": found.chance_precision,
            f"chance_rec_{k}": found.chance_recall,
            f"lift_{k}": found.lift_low,
            f"soft_rec_low_{k}": soft_recall(scores, covered, k),
        }
    return row


def label_rows(scores: Float[np.ndarray, "n"], covered: Float[np.ndarray, "n"]) -> list[dict[str, Any]]:
    """The primary ranking under other labels: stricter thresholds, and coverage itself as pair weights."""
    rows = []
    if skip_reason(covered, low=0.25) is None:
        inside, outside, _ = label_tokens(covered, high=0.75, low=0.25)
        rows.append(_tags(*PRIMARY, labels="0.25/0.75") | _area(auroc(scores, inside, outside)))
    rows.append(_tags(*PRIMARY, labels="soft") | _area(auroc(scores, *soft_labels(covered))))
    return rows


def _area(areas: Float[np.ndarray, "*m"]) -> dict[str, float]:
    area = np.asarray(areas.mean())
    return {"auroc": float(area), "ri": float(reversal_index(area))}


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {str(name): float(value) for name, value in pd.DataFrame(found).mean().items()}


def text_controls(
    context: Context, patches: Patches, sample: Any, expression: Any, covered: Float[np.ndarray, "n"]
) -> list[dict[str, Any]]:
    """N1, N1c and N2: the same mask, other texts; measures of several texts are averaged."""
    rng = _generator(context, expression, 1)
    rows: list[dict[str, Any]] = []
    for control, mode, same in (("N1", "shuffled", False), ("N1c", "category", True)):
        chosen = text_donors(context.donors, sample, expression, context.config.donors, same, rng)
        if len(chosen):
            scores = similarity(patches.used, context.donor_texts[torch.from_numpy(chosen)])
            found = [measures(values, covered, context.budgets) for values in scores]
            rows.append(_tags("P0", -2, "dot", mode, control, n_draws=len(chosen)) | _averaged(found))
    texts = {"empty": context.free_texts[:1], "photo": context.free_texts[1:]}
    if len(context.donor_texts):
        texts["mean"] = context.donor_texts.mean(0, keepdim=True)
    for mode, embeds in texts.items():
        values = similarity(patches.used, embeds)[0]
        rows.append(_tags("P0", -2, "dot", mode, "N2") | measures(values, covered, context.budgets))
    return rows


def mask_controls(
    context: Context, scores: Float[np.ndarray, "n"], sample: Any, expression: Any, covered: Float[np.ndarray, "n"]
) -> list[dict[str, Any]]:
    """N3 to N6: the true text, other masks; measures of several foreign masks are averaged."""
    grid, rng = context.model.grid, _generator(context, expression, 2)
    labels = label_tokens(covered)
    rows = []
    foreign = mask_donors(context.donors, sample, labels.n_in, _generator(context, expression, 3))
    if len(foreign):
        found = [measures(scores, context.donors[i].coverage, context.budgets) for i in foreign]
        rows.append(_tags(*PRIMARY, "N3", n_draws=len(foreign)) | _averaged(found))
    shifts = toroidal_shifts(grid, context.config.shifts, rng)
    moved = auroc(scores, shift_labels(labels.inside, grid, shifts), shift_labels(labels.outside, grid, shifts))
    rows.append(_tags(*PRIMARY, "N4", n_draws=len(shifts)) | _area(moved))
    if context.config.blobs:
        blobs = np.stack([random_blob(grid, labels.n_in, rng) for _ in range(context.config.blobs)])
        rows.append(_tags(*PRIMARY, "N5", n_draws=len(blobs)) | _area(auroc(scores, blobs, ~blobs)))
    other = distractor(context.model, sample, expression, rng)
    if other is not None:
        same_category, other_coverage = other
        row = _tags(*PRIMARY, "N6") | measures(scores, other_coverage, context.budgets)
        rows.append(row | {"same_category": same_category})
    return rows


def distractor(
    model: Model, sample: Any, expression: Any, rng: np.random.Generator
) -> tuple[bool, Float[np.ndarray, "n"]] | None:
    """Coverage of another object of the image that can be labelled, of the same category if there is one."""
    meant = set(expression.ann_ids)
    others = sorted(ann_id for ann_id in sample.annotations if ann_id not in meant)
    categories = set(expression.category_id)
    same = {ann_id: sample.annotations[ann_id].category_id in categories for ann_id in others}
    for ann_id in sorted(rng.permutation(others).tolist(), key=lambda ann_id: not same[ann_id]):
        covered = token_coverage(target_mask(sample, replace(expression, ann_ids=(ann_id,))), model)
        if skip_reason(covered) is None:
            return same[ann_id], covered
    return None


def _generator(context: Context, expression: Any, purpose: int) -> np.random.Generator:
    """Random numbers of one expression, the same in whatever order or process it is computed."""
    return np.random.default_rng([context.config.seed, int(expression.sent_id), purpose])


def _agreement(scores: Float[np.ndarray, "t n"], number: int) -> float | None:
    """Mean Spearman correlation of one text's ranking with those of the image's other texts."""
    others = [row for other, row in enumerate(scores) if other != number]
    constant = np.ptp(scores[number]) == 0 or any(np.ptp(row) == 0 for row in others)
    if not others or constant:
        return None
    return float(np.mean([stats.spearmanr(scores[number], row).statistic for row in others]))
