"""Rows of the mechanism study: one expression's reversal under every probe."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from litelvlm.analysis.inputs.foreign import foreign_texts_of
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.inputs.samples import askable, image_targets, naming
from litelvlm.analysis.runs.columns import CONDITION, EXPRESSION, LABELS, TOWER, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ends import INDEX, POSITIVE
from litelvlm.analysis.stats.ranking import auroc, reversal_index
from litelvlm.analysis.studies.mechanism.dense import class_columns
from litelvlm.analysis.studies.mechanism.probes import MechanismContext, Ranking, rank_all
from litelvlm.arrays import Array
from litelvlm.data.dataset import Expression
from litelvlm.data.images import open_image

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    *TOWER,
    Column("probe", str, "What is changed: a name of ``PROBES``.", CONDITION),
    Column("ri", float, "Reversal index with the true text, -1 to 1.", INDEX),
    Column("n_ranked", int, "Tokens in the ranking.", POSITIVE),
    Column(
        "called_{category}",
        int,
        "Tokens of the target that are called this category, by id.",
        POSITIVE,
    ),
    Column("ri_foreign", float, "Mean reversal index with texts of other images.", INDEX),
    Column("ri_{text}", float, "The index with another text of ``TEXTS``, readouts only.", INDEX),
)


def clip_rows(context: MechanismContext, index: int) -> ItemResult:
    """All rows of one image seen by one CLIP model."""
    sample, excluded = askable(context.data[index])
    targets, skipped = image_targets(context.data, context.model, sample, context.clip)
    rows: list[Row] = []
    if targets:
        with naming(sample, sample.expressions[0]):
            rankings = rank_all(
                context,
                open_image(sample.image()),
                [e.sent for e in sample.expressions],
                [_stated_name(context.named, e) for e in sample.expressions],
            )
        for number, expression, keys, covered in targets:
            chosen = foreign_texts_of(
                context.foreign, sample, expression, context.config.donors, context.config.seed
            )
            with naming(sample, expression):
                for probe, ranking in rankings.items():
                    found = probe_row(ranking, number, chosen, covered)
                    if found is not None:
                        rows.append(keys | {"probe": probe} | found)
                    if found is not None and ranking.called is not None:
                        rows[-1] |= class_columns(ranking.called, covered, context.named)
    return ItemResult(rows, excluded + skipped)


def _stated_name(named: Mapping[int, str], expression: Expression) -> str:
    """Name of the only category that an expression means; empty without one."""
    meant = set(expression.category_id)
    return named.get(min(meant), "") if len(meant) == 1 else ""


def probe_row(
    ranking: Ranking, number: int, chosen: Int[Array, "f"], covered: Float[Array, "n"]
) -> dict[str, float] | None:
    """Measures of one expression under one probe; None without a text or a ranked token there."""
    inside, outside, _ = label_tokens(covered)
    inside, outside, scores = inside & ranking.ranked, outside & ranking.ranked, ranking.own[number]
    if np.isnan(scores).all() or not inside.any() or not outside.any():
        return None
    row = {"ri": float(reversal_index(auroc(scores, inside, outside)))}
    row["n_ranked"] = int(ranking.ranked.sum())
    if ranking.foreign is not None and len(chosen):
        others = [reversal_index(auroc(ranking.foreign[i], inside, outside)) for i in chosen]
        row["ri_foreign"] = float(np.mean(others))
    for text, own in ranking.texts.items():
        if not np.isnan(own[number]).any():
            row[f"ri_{text}"] = float(reversal_index(auroc(own[number], inside, outside)))
    return row
