"""Rows of the causal sink study: [EOS] without one key, and what that changes in the selection."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.inputs.samples import askable, image_targets, naming
from litelvlm.analysis.runs.columns import CONDITION, EXPRESSION, LABELS, TOWER, Column, Row
from litelvlm.analysis.runs.config import counts_by_budget
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ends import DIFFERENCE, INDEX, POSITIVE, SHARE
from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.edits import PLAIN, edited, readable, without_each_word
from litelvlm.arrays import Array
from litelvlm.clip.probes.text import trace_text
from litelvlm.data.dataset import Dataset
from litelvlm.data.images import open_image
from litelvlm.layout import Layout
from litelvlm.models.base import TowerModel
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import lowest
from litelvlm.pruning.scoring import text_similarity

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("ri", float, "Reversal index without any change.", INDEX),
    Column("n_tokens", int, "Tokens of the question, [SOS] and [EOS] included.", POSITIVE),
    Column("intervention", str, "What is changed for [EOS].", CONDITION),
    Column("layer_set", str, "Layers in which it is changed.", CONDITION),
    Column("n_draws", int, "Words that the row is the mean of.", POSITIVE),
    Column("d_ri", float, "Change of the reversal index.", DIFFERENCE),
    Column("abs_d_ri", float, "Size of that change, whatever its sign.", POSITIVE),
    Column("jaccard_{budget}", float, "Kept tokens before and after: shared over all.", SHARE),
    Column("cos_eos", float, "Cosine of the text embedding before and after.", INDEX),
)


@dataclass(frozen=True)
class SinkCausalContext:
    """What every image of a run shares.

    Attributes:
        model: The model.
        data: The split.
        config: Of the study.
        fewest: Visual tokens of the image that has fewest, by which budgets are named.
    """

    model: TowerModel
    data: Dataset
    config: Config
    fewest: int


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
    with naming(sample, sample.expressions[0]):
        scores = {key: _scores(layout, patches, texts) for key, texts in embeds.items()}
    rows: list[Row] = []
    for number, _, keys, covered in targets:
        inside, outside, _ = label_tokens(covered)
        plain = scores[PLAIN][number]
        keys |= {
            "ri": _index(plain[None], inside, outside),
            "n_tokens": int(trace.text.eos_index[number]) + 1,
        }
        # Of each intervention the scores and texts of its variants; most have one.
        variants = {
            key: (scores[key][number][None], texts[number][None])
            for key, texts in embeds.items()
            if key != PLAIN
        }
        words_hidden = each_word[number]
        variants["mask_word", "all"] = _scores(layout, patches, words_hidden), words_hidden
        for (name, place), (scored, texts) in variants.items():
            tags = {"intervention": name, "layer_set": place, "n_draws": len(texts)}
            row = compared(budgets, scored, plain, inside, outside)
            row["cos_eos"] = float(cosine_similarity(texts, embeds[PLAIN][number][None]).mean())
            rows.append(keys | tags | row)
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


def _scores(layout: Layout, patches: Tensor, texts: Tensor) -> Float[Array, "t n"]:
    return text_similarity(Cues({"patch_embeds": patches, "text_embeds": texts}, layout)).numpy()


def _index(
    scores: Float[Array, "v n"], inside: Bool[Array, "n"], outside: Bool[Array, "n"]
) -> float:
    return float(np.mean([reversal_index(auroc(row, inside, outside)) for row in scores]))
