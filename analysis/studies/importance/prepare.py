"""What the importance study does before its first row: it picks expressions and a mean token."""

from functools import partial

from litelvlm.analysis.inputs.picked import pick
from litelvlm.analysis.inputs.samples import fewest_tokens
from litelvlm.analysis.inputs.subset import middles
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.signals.gradients import mean_token
from litelvlm.analysis.studies.importance.config import Config
from litelvlm.analysis.studies.importance.rows import ImportanceContext, image_rows
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import QueriedModel


def prepare(model: QueriedModel, data: Dataset, config: Config) -> Work:
    """Pick the expressions; one part of the work for each of their images."""
    picked = pick(data, model, config.images, config.seed)
    n_tokens = fewest_tokens(model, picked)
    budgets = budget_counts(config.budgets, n_tokens)
    context = ImportanceContext(
        model,
        picked,
        config,
        min(config.depth or max(1, n_tokens // 9), n_tokens),
        budgets,
        mean_token(model, data, config.mean_images),
        frozenset(middles(len(picked), config.checked)),
        frozenset(middles(len(picked), config.sampled)),
    )
    return Work(
        picked,
        lambda index: partial(image_rows, context, index),
        resolved={"depth": context.depth, "budgets": list(budgets)},
        notes=picked.notes,
    )
