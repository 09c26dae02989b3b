"""Rows of the causal sink study: [EOS] without one key, and what that changes in the selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from litelvlm.analysis.inputs.foreign import ForeignExpression, foreign_texts_of
from litelvlm.analysis.inputs.labelled import image_targets
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.inputs.samples import askable, naming, target_mask
from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, TOWER, Column, Row
from litelvlm.analysis.runs.config import counts_by_budget
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.edits import PLAIN, edited, readable, without_each_word
from litelvlm.arrays import Array
from litelvlm.clip.probes.text import trace_text
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.data.images import open_image
from litelvlm.layout import Layout
from litelvlm.metrics import intersection_union
from litelvlm.models.base import TowerGroundingModel
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.similarity import LowSimilarity
from litelvlm.pruning.ranking import lowest
from litelvlm.pruning.scoring import text_similarity

MASKED = ("mask_sos", "zero_sos_value", "mask_content")
"""Interventions that the masks of a subset are predicted under, in all layers."""


COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("ri", float, "Reversal index without any change."),
    Column("n_tokens", int, "Tokens of the question, [SOS] and [EOS] included."),
    Column("intervention", str, "What is changed for [EOS]."),
    Column("layer_set", str, "Layers in which it is changed."),
    Column("n_draws", int, "Words that the row is the mean of."),
    Column("d_ri", float, "Change of the reversal index."),
    Column("abs_d_ri", float, "Size of that change, whatever its sign."),
    Column("jaccard_{budget}", float, "Kept tokens before and after: shared over all."),
    Column("cos_eos", float, "Cosine of the text embedding before and after."),
    Column("d_ts", float, "Change of the true text's advantage over foreign texts."),
    Column("iou", float, "IoU of the mask after the change."),
    Column("d_iou", float, "Change of the IoU."),
)


@dataclass(frozen=True)
class SinkCausalContext:
    """What every image of a run shares.

    Attributes:
        model: The model.
        data: The split.
        config: Of the study.
        fewest: Visual tokens of the image that has fewest, by which budgets are named.
        foreign: Expressions of other images, whose texts are controls.
        foreign_embeds: By intervention and layer set, the questions about them, embedded.
    """

    model: TowerGroundingModel
    data: Dataset
    config: Config
    fewest: int
    foreign: Sequence[ForeignExpression]
    foreign_embeds: Mapping[tuple[str, str], Float[Tensor, "m p"]]


def image_rows(context: SinkCausalContext, index: int) -> ItemResult:
    """All rows of one image."""
    tower = context.model.tower
    sample, excluded = askable(context.data[index])
    sents = [expression.sent for expression in sample.expressions]
    kept, questions, words, unread = readable(context.model, sents, context.config.question_index)
    sample = sample.with_expressions(tuple(sample.expressions[place] for place in kept))
    targets, skipped = image_targets(context.data, context.model, sample)
    skipped = excluded + unread + skipped
    if not targets:
        return ItemResult([], skipped)
    trace = trace_text(tower, questions)
    embeds = edited(
        trace, words, [[context.config.seed, int(e.sent_id), 5] for e in sample.expressions]
    )
    each_word = without_each_word(trace, words)
    picture = open_image(sample.image())
    with torch.inference_mode():
        patches = tower.image(tower.pixel_values(picture)).patch_embeds[0].float().cpu()
    budgets = counts_by_budget(context.config.budgets, len(patches), context.fewest)
    layout = context.model.view(sample.height, sample.width).layout
    ious = (
        mask_ious(context, sample, picture, patches, embeds)
        if index < context.config.mask_images
        else {}
    )
    with naming(sample, sample.expressions[0]):
        scores = {key: _scores(layout, patches, texts) for key, texts in embeds.items()}
        foreign_scores = {
            key: _scores(layout, patches, texts) for key, texts in context.foreign_embeds.items()
        }
    rows: list[Row] = []
    for number, expression, keys, covered in targets:
        inside, outside, _ = label_tokens(covered)
        chosen = foreign_texts_of(
            context.foreign, sample, expression, context.config.donors, context.config.seed
        )
        plain = scores[PLAIN][number]
        base = _index(plain[None], inside, outside)
        base_foreign = (
            _index(foreign_scores[PLAIN][chosen], inside, outside) if len(chosen) else None
        )
        keys |= {"ri": base, "n_tokens": int(trace.text.eos_index[number]) + 1}
        for (name, place), texts in embeds.items():
            if (name, place) == PLAIN:
                continue
            row = compared(budgets, scores[name, place][number][None], plain, inside, outside)
            row["cos_eos"] = _cosine(texts[number : number + 1], embeds[PLAIN][number])
            if base_foreign is not None:
                moved = _index(foreign_scores[name, place][chosen], inside, outside) - base_foreign
                row["d_ts"] = row["d_ri"] - moved
            if place == "all" and (name, number) in ious:
                row["iou"], row["d_iou"] = (
                    ious[name, number],
                    ious[name, number] - ious["none", number],
                )
            rows.append(keys | {"intervention": name, "layer_set": place, "n_draws": 1} | row)
        texts = each_word[number]
        row = compared(budgets, _scores(layout, patches, texts), plain, inside, outside)
        row["cos_eos"] = _cosine(texts, embeds[PLAIN][number])
        rows.append(
            keys | {"intervention": "mask_word", "layer_set": "all", "n_draws": len(texts)} | row
        )
    return ItemResult(rows, skipped)


def compared(
    budgets: Mapping[int, int],
    scores: Float[Array, "v n"],
    plain: Float[Array, "n"],
    inside: Bool[Array, "n"],
    outside: Bool[Array, "n"],
) -> dict[str, float]:
    """Change of the reversal index, its size, and Jaccard overlap of kept tokens.

    All are means over the variants.

    Args:
        budgets: Token counts by name.
        scores: Of the variants.
        plain: Scores that they are compared with.
        inside: Tokens in the referent.
        outside: Tokens out of it.
    """
    before_change = _index(plain[None], inside, outside)
    changes = [_index(row[None], inside, outside) - before_change for row in scores]
    row = {"d_ri": float(np.mean(changes)), "abs_d_ri": float(np.mean(np.abs(changes)))}
    for name, k in budgets.items():
        before = set(lowest(torch.from_numpy(plain), k).tolist())
        after = [set(kept) for kept in lowest(torch.from_numpy(scores), k).tolist()]
        row[f"jaccard_{name}"] = float(
            np.mean([len(before & kept) / len(before | kept) for kept in after])
        )
    return row


@torch.inference_mode()
def mask_ious(
    context: SinkCausalContext,
    sample: Sample,
    picture: Image.Image,
    patches: Float[Tensor, "n p"],
    embeds: Mapping[tuple[str, str], Float[Tensor, "t p"]],
) -> dict[tuple[str, int], float]:
    """IoU of the masks from the tokens kept under each intervention, by name and expression."""
    model, found = context.model, {}
    state = model.encode_image(picture)
    layout, budget = state.view.layout, context.config.tokens_for_masks(len(patches))
    conversations = [
        model.conversation([expression.sent], context.config.question_index)
        for expression in sample.expressions
    ]
    for name in ("none", *MASKED):
        texts = embeds[PLAIN if name == "none" else (name, "all")]
        selections = [
            LowSimilarity().select(
                Cues({"patch_embeds": patches, "text_embeds": texts[n : n + 1]}, layout), budget
            )
            for n in range(len(conversations))
        ]
        results = model.ground([state] * len(conversations), conversations, selections)
        for number, (expression, result) in enumerate(
            zip(sample.expressions, results, strict=True)
        ):
            mask = result.mask[0].cpu().numpy()
            found[name, number] = intersection_union(mask, target_mask(sample, expression)).iou
    return found


def _scores(layout: Layout, patches: Tensor, texts: Tensor) -> Float[Array, "t n"]:
    return text_similarity(Cues({"patch_embeds": patches, "text_embeds": texts}, layout)).numpy()


def _index(
    scores: Float[Array, "v n"], inside: Bool[Array, "n"], outside: Bool[Array, "n"]
) -> float:
    return float(np.mean([reversal_index(auroc(row, inside, outside)) for row in scores]))


def _cosine(texts: Float[Tensor, "v p"], plain: Float[Tensor, "p"]) -> float:
    return float(cosine_similarity(texts, plain[None]).mean())
