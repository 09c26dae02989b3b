"""Rows of the ablations: a sweep's rows, altered inputs, and measures of the score."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats

from litelvlm.analysis.inputs.foreign import ForeignExpression, choose_foreign_texts
from litelvlm.analysis.inputs.labels import label_tokens, skip_reason
from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.signals.sampled import shapley
from litelvlm.analysis.stats.ends import INDEX, SHARE
from litelvlm.analysis.stats.ranking import auroc, jaccard, reversal_index, tie_fraction
from litelvlm.analysis.studies.ablations.config import (
    ALTERED,
    CONTEXT_ONLY,
    KERNEL_SHAP,
    LAST_LAYER,
    unshuffled,
)
from litelvlm.analysis.studies.sweep.passes import Loaded, Pass, SweepContext, SweepQuery
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP
from litelvlm.analysis.studies.sweep.rows import image_rows
from litelvlm.arrays import Array
from litelvlm.pruning import Cues, Selection, get_pruner
from litelvlm.pruning.cue_table import OF_CLIP
from litelvlm.pruning.ranking import Precision, highest
from litelvlm.pruning.scoring import context_scores, text_similarity

COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column("part", str, "'methods' on the chosen expressions, or 'protocols' on all.", CONDITION),
    Column("ri", float, "Reversal index of the score on the referent, -1 to 1.", INDEX),
    Column(
        "pearson", float, "Correlation of the score with attention in the language model.", INDEX
    ),
    Column("spearman", float, "Rank correlation of the same two.", INDEX),
    Column("sum_{pair}", float, "Sum that a correlation pooled over images needs."),
    Column("ties_float32", float, "Share of tied scores in float32.", SHARE),
    Column("ties_bfloat16", float, "Share of tied scores in bfloat16.", SHARE),
    Column("jaccard_{budget}", float, "Tokens kept in either number type: shared over all.", SHARE),
)
SUMS = ("count", "x", "y", "xx", "yy", "xy")
ROUNDED = "bfloat16"
METHODS_PART, PROTOCOLS_PART = "methods", "protocols"
"""Parts of the rows: all methods on chosen expressions; protocols on all of the same images."""


@dataclass(frozen=True)
class IndexContext(SweepContext):
    """A sweep's context that also measures how reversed the score of each conversation is.

    Attributes:
        measures: Measures of the score, of the image at hand by conversation, filled while its
            passes are made.
    """

    measures: dict[int, dict[str, float]] = field(default_factory=dict)

    def passes(self, asked: SweepQuery) -> list[Pass]:
        """The sweep's passes; the measures are kept on the way."""
        self.measures[asked.number] = self.measure(asked)
        return super().passes(asked)

    def measure(self, asked: SweepQuery) -> dict[str, float]:
        """How reversed CLIP's similarity is on the referent; nan for a model without CLIP."""
        if self.model.lacks & OF_CLIP:
            return {"ri": float("nan")}
        return {"ri": index_of(asked.loaded.coverage[asked.number], similarity(asked.cues))}


@dataclass(frozen=True)
class AblationContext(IndexContext):
    """A sweep's context with selections that no setting of a method expresses.

    Attributes:
        foreign: Expressions of other images, whose texts replace the true one.
        seed: Of the choice among them.
        altered: Which of ``ALTERED`` to run.
        attention: Whether to relate the score to the language model's attention.
        rounding: Whether to compare the selection with that from bfloat16 scores.
        coalitions: Of KernelSHAP.
    """

    foreign: Sequence[ForeignExpression] = ()
    seed: int = 0
    altered: tuple[str, ...] = ALTERED
    attention: bool = False
    rounding: bool = False
    coalitions: int = 144

    def passes(self, asked: SweepQuery) -> list[Pass]:
        """The sweep's passes, and those of the altered method."""
        made = super().passes(asked)
        n_tokens = asked.cues.n_tokens
        foreign = self.foreign_cues(asked) if any(map(unshuffled, self.altered)) else asked.cues
        for label in self.altered:
            changed = foreign if unshuffled(label) else self.change(label, asked)
            for budget, count in self.possible(ranker_of(label), n_tokens).items():
                kept = select(label, changed, count)
                made.append(Pass(asked.number, label, budget, 0, kept, count, float(count)))
        return made

    def possible(self, method: str, n_tokens: int) -> dict[int, int]:
        """Tokens to keep by the name of the budget, where the model can keep so few by a method."""

        def can(count: int) -> bool:
            try:
                self.model.check_method(get_pruner(method), frames, count)
            except ValueError:
                return False
            return True

        counts, frames = self.kept_tokens(n_tokens), self.frames_of_tokens[n_tokens]
        return {budget: count for budget, count in counts.items() if can(count)}

    def change(self, label: str, asked: SweepQuery) -> Cues:
        """Cues with the input that a label names exchanged."""
        loaded, state, number, cues = asked.loaded, asked.state, asked.number, asked.cues
        if label == LAST_LAYER:
            return cues.replaced(patch_embeds=self.model.last_layer_embeds(state))
        if label == CONTEXT_ONLY:
            return cues
        if label == KERNEL_SHAP:
            rng = np.random.default_rng([self.seed, int(loaded.sample.expressions[number].sent_id)])
            size = self.config.batch_size
            query = self.model.query_conversation(state, asked.planned.conversation, size)
            values = torch.from_numpy(shapley(query, query.targets(), self.coalitions, rng))
            return cues.replaced(block_importance=values)
        tower = self.model.clip_tower
        if tower is None:
            raise ValueError(f"{label!r} exchanges the text that CLIP reads; leave it out")
        return cues.replaced(text_embeds=tower.text([""]).text_embeds)

    def foreign_cues(self, asked: SweepQuery) -> Cues:
        """What a method would read if another image's expression were asked about.

        That of equal length; another category first.
        """
        sample, number = asked.loaded.sample, asked.number
        expression = sample.expressions[number]
        rng = np.random.default_rng([self.seed, int(expression.sent_id)])
        for same_category in (False, True):
            chosen = choose_foreign_texts(self.foreign, sample, expression, 1, same_category, rng)
            if len(chosen):
                sent = self.foreign[int(chosen[0])].sent
                about = self.model.clip_conversation(
                    [sent], sample.frames, self.config.question_index, self.config.answer_index
                )
                return self.model.cues(asked.state, about, key=sample.key)
        raise ValueError("there is no text of another image; take more images")

    def measure(self, asked: SweepQuery) -> dict[str, float]:
        """How reversed the score is on the referent, and how it correlates with attention."""
        found = super().measure(asked)
        if self.model.lacks & OF_CLIP:
            return found
        if self.attention:
            query = self.model.query_conversation(asked.state, asked.planned.conversation)
            rows = query.attention_rows().mean((0, 1))
            found |= correlations(-similarity(asked.cues), rows.cpu().numpy().astype(np.float64))
        if self.rounding:
            found |= rounding(asked.cues, self.possible(PAPER, asked.cues.n_tokens))
        return found


def index_of(covered: Float[Array, "n"], scores: Float[Array, "n"]) -> float:
    """Reversal index of scores on the referent, -1 to 1; nan where no token can be labelled."""
    if not covered.any() or skip_reason(covered) is not None:
        return float("nan")
    labels = label_tokens(covered)
    return float(reversal_index(auroc(scores, labels.inside, labels.outside)))


def similarity(cues: Cues, precision: Precision = "float32") -> Float[Array, "n"]:
    """Similarity of the first text with every token, in float64."""
    found: Array = text_similarity(cues, precision=precision)[0].cpu().numpy().astype(np.float64)
    return found


def correlations(x: Float[Array, "n"], y: Float[Array, "n"]) -> dict[str, float]:
    """Pearson and Spearman correlation of one sample, and the sums that a pooled one needs.

    Both are nan where a side is constant, which the summary counts.
    """
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    pearson, spearman = (
        float("nan") if constant else float(f(x, y).statistic)
        for f in (stats.pearsonr, stats.spearmanr)
    )
    sums = (float(len(x)), x.sum(), y.sum(), x @ x, y @ y, x @ y)
    return {"pearson": pearson, "spearman": spearman} | {
        f"sum_{name}": float(value) for name, value in zip(SUMS, sums, strict=True)
    }


def rounding(cues: Cues, budgets: Mapping[int, int]) -> dict[str, float]:
    """Share of tied scores in either number type, and overlap of both kept sets at each budget.

    Args:
        cues: Of the conversation.
        budgets: Token counts by name.
    """
    found = {f"ties_{kind}": tie_fraction(similarity(cues, kind)) for kind in get_args(Precision)}
    exact, coarse = get_pruner(PAPER), get_pruner(PAPER, precision=ROUNDED)
    return found | {
        f"jaccard_{name}": jaccard(*(p.select(cues, k).indices.tolist() for p in (exact, coarse)))
        for name, k in budgets.items()
    }


def select(label: str, cues: Cues, budget: int) -> Selection:
    """The paper's choice from changed cues, or what another score keeps, in the method's order."""
    if label == CONTEXT_ONLY:
        chosen = Selection.from_indices(highest(context_scores(cues), budget), cues.n_tokens)
        return replace(chosen, roles=("context",) * budget)
    return get_pruner(ranker_of(label)).select(cues, budget)


def ranker_of(label: str) -> str:
    """The method that chooses tokens for one of ``ALTERED``, from the changed cues."""
    return "block_loo" if label == KERNEL_SHAP else unshuffled(label) or PAPER


def measured_rows(
    rows: Sequence[Mapping[str, object]],
    loaded: Loaded,
    measures: Mapping[int, dict[str, float]],
    nothing: dict[str, float],
    part: str,
) -> list[Row]:
    """Rows of one part; those of the unpruned model hold the measures of their expression's score.

    Args:
        rows: Of one image.
        loaded: The image; its keys name the expressions by place.
        measures: By place of the expression; none where nothing was measured.
        nothing: The same columns without values, for all other rows.
        part: ``METHODS_PART`` or ``PROTOCOLS_PART``.
    """
    places = {key["sent_id"]: place for place, key in enumerate(loaded.keys)}

    def measured(row: Mapping[str, object]) -> Mapping[str, float]:
        found = measures.get(places[row["sent_id"]]) if row["method"] == UNPRUNED else None
        return nothing | found if found else nothing

    return [{**row, "part": part, **measured(row)} for row in rows]


def ablation_rows(
    context: AblationContext, protocols: Sequence[SweepContext], loaded: tuple[Loaded, Loaded]
) -> ItemResult:
    """Rows of one image: every method on the chosen expressions, and the protocols on all of them.

    Args:
        context: Of the methods.
        protocols: Contexts of the protocols that are compared; an ``IndexContext`` measures too.
        loaded: The image with the chosen expressions, and with all of them.
    """
    context.measures.clear()
    alone = image_rows(context, loaded[0])
    nothing = {name: float("nan") for found in context.measures.values() for name in found}
    rows = measured_rows(alone.rows, loaded[0], context.measures, nothing, METHODS_PART)
    compared = []
    for protocol in protocols:
        measures = protocol.measures if isinstance(protocol, IndexContext) else {}
        measures.clear()
        found = image_rows(protocol, loaded[1])
        rows += measured_rows(found.rows, loaded[1], measures, nothing, PROTOCOLS_PART)
        compared.append(found)
    notes = [*alone.notes, *(note for found in compared for note in found.notes)]
    # The record counts the chosen expressions only.
    for reason, n in (Counter(loaded[1].skipped) - Counter(loaded[0].skipped)).items():
        notes.append(
            f"image {loaded[1].sample.image_id}: {n} more left out where protocols are compared "
            f"({reason})"
        )
    return alone._replace(rows=rows, notes=tuple(notes))
