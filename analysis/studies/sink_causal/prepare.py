"""What the causal sink study does before its first row: foreign texts under every change."""

from collections import Counter
from functools import partial

from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.foreign import ForeignExpression, draw_foreign
from litelvlm.analysis.inputs.samples import token_counts
from litelvlm.analysis.runs.config import budget_counts, budget_record
from litelvlm.analysis.runs.formatting import counted
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.edits import edited, readable
from litelvlm.analysis.studies.sink_causal.rows import SinkCausalContext, image_rows
from litelvlm.clip.probes.text import trace_text
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import TowerGroundingModel, TowerModel


def foreign_texts(
    model: TowerModel, data: Dataset, config: Config
) -> tuple[list[ForeignExpression], dict[tuple[str, str], Float[Tensor, "m p"]], dict[str, int]]:
    """Foreign expressions whose words are found, their embeddings, and why others are excluded."""
    foreign = draw_foreign(data, model, config.pool, config.seed)
    kept, questions, words, unread = readable(
        model, [candidate.sent for candidate in foreign], config.question_index
    )
    reasons = dict(Counter(unread))
    if not kept:
        return [], {}, reasons
    seeds = [[config.seed, number, 6] for number in range(len(kept))]
    embeds = edited(trace_text(model.tower, questions), words, seeds)
    return [foreign[place] for place in kept], embeds, reasons


def prepare(model: TowerGroundingModel, data: Dataset, config: Config) -> Work:
    """Read all foreign texts under every change; one part of the work for each image."""
    counts = token_counts(model, data)
    (mask_budget,) = budget_counts((config.tokens_for_masks(counts[0]),), counts[0])
    foreign, embeds, unread = foreign_texts(model, data, config)
    context = SinkCausalContext(model, data, config, counts[0], foreign, embeds)
    return Work(
        data,
        lambda index: partial(image_rows, context, index),
        # A share keeps another number of each image where these have different numbers of tokens.
        resolved=budget_record(config.budgets, counts)
        | ({"mask_budget": mask_budget} if len(counts) == 1 else {}),
        notes=(f"foreign texts left out: {counted(unread)}",) if unread else (),
    )
