"""Rows of the ablations: a sweep's rows, the method on other inputs, and what relates its score to attention."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from analysis.ablations_config import ALTERED, CONTEXT_ONLY, EMPTY, LAST_LAYER
from analysis.donors import Donor, text_donors
from analysis.engine import ItemResult
from analysis.labels import label_tokens, skip_reason
from analysis.ranking_measures import auroc, reversal_index
from analysis.sweep_config import PAPER
from analysis.sweep_passes import Chosen, Context, Pass, Talk
from analysis.sweep_rows import Loaded, image_rows
from analysis.sweep_tables import UNPRUNED
from litelvlm.glamm.prompts import question
from litelvlm.glamm.signals import attention_rows
from litelvlm.pruning import Cues, Selection, get_pruner
from litelvlm.pruning.litelvlm import context_scores
from litelvlm.pruning.ranking import highest
from litelvlm.pruning.similarity import text_similarity

SUMS = ("count", "x", "y", "xx", "yy", "xy")


@dataclass(frozen=True)
class AblationContext(Context):
    """A sweep's context with the selections that no setting of a method can say.

    Attributes:
        donors: Expressions of other images, whose texts stand in for the true one.
        seed: Of the choice among them.
        altered: Which of ``ALTERED`` to run.
        attention: Whether to relate the score to the language model's attention.
        measures: Measures of the score, of the image at hand by expression, filled while its passes are made.
    """

    donors: Sequence[Donor] = ()
    seed: int = 0
    altered: tuple[str, ...] = ALTERED
    attention: bool = False
    measures: dict[int, dict[str, float]] = field(default_factory=dict)

    def passes(self, loaded: Loaded, state: Any, number: int, talk: Talk, cues: Cues, chosen: Chosen) -> list[Pass]:
        """The sweep's passes, and those of the altered method."""
        made = super().passes(loaded, state, number, talk, cues, chosen)
        self.measures[number] = self.measure(loaded.coverage[number], state, talk, cues)
        for label in self.altered:
            changed = self.change(label, loaded, state, number, cues)
            if changed is None:
                continue
            for budget in self.budgets:
                made.append(Pass(number, label, budget, 0, select(label, changed, budget), budget, float(budget)))
        return made

    def change(self, label: str, loaded: Loaded, state: Any, number: int, cues: Cues) -> Cues | None:
        """Cues with the input that a label names exchanged; None if there is no text of another image."""
        if label == LAST_LAYER:
            last = state.clip.last_hidden_state[:, -cues.n_tokens :]
            return cues.replaced(patch_embeds=self.model.tower.project(last)[0])
        if label == CONTEXT_ONLY:
            return cues
        text = "" if label == EMPTY else self.foreign_text(loaded, number)
        return None if text is None else cues.replaced(text_embeds=self.model.tower.text([text]).text_embeds)

    def foreign_text(self, loaded: Loaded, number: int) -> str | None:
        """The question about an expression of another image and another category, of about the same length."""
        sample = loaded.sample
        expression = sample.expressions[number]
        rng = np.random.default_rng([self.seed, int(expression.sent_id)])
        chosen = text_donors(self.donors, sample, expression, 1, False, rng)
        return question(self.donors[int(chosen[0])].sent, self.config.question_index) if len(chosen) else None

    def measure(self, covered: Float[np.ndarray, "n"], state: Any, talk: Talk, cues: Cues) -> dict[str, float]:
        """How far the score is reversed on the referent, and how it goes with attention inside the language model."""
        scores = text_similarity(cues)[0].cpu().numpy().astype(np.float64)
        found = {"ri": float("nan")}
        if covered.any() and skip_reason(covered) is None:
            labels = label_tokens(covered)
            found["ri"] = float(reversal_index(auroc(scores, labels.inside, labels.outside)))
        if self.attention:
            rows = attention_rows(self.model, state, talk.conversation)
            found |= correlations(-scores, rows.mean((0, 1)).cpu().numpy().astype(np.float64))
        return found


def select(label: str, cues: Cues, budget: int) -> Selection:
    """The paper's choice from changed cues, or its context score alone, in the order in which it would emit each."""
    if label == CONTEXT_ONLY:
        return Selection.from_indices(highest(context_scores(cues), budget), cues.n_tokens)
    return get_pruner(PAPER).select(cues, budget)


def correlations(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> dict[str, float]:
    """Pearson and Spearman correlation of one sample, and the sums that a pooled one needs.

    Both are nan where a side is constant, which the summary counts.
    """
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    pearson, spearman = (
        float("nan") if constant else float(f(x, y).statistic) for f in (stats.pearsonr, stats.spearmanr)
    )
    sums = (float(len(x)), x.sum(), y.sum(), x @ x, y @ y, x @ y)
    return {"pearson": pearson, "spearman": spearman} | {
        f"sum_{name}": float(value) for name, value in zip(SUMS, sums, strict=True)
    }


def ablation_rows(context: AblationContext, official: Context | None, loaded: tuple[Loaded, Loaded]) -> ItemResult:
    """Rows of one image: chosen expressions alone, and, if asked for, the official protocol on all of them.

    Args:
        context: Of the expressions asked alone.
        official: Of the official protocol.
        loaded: The image with the chosen expressions, and with all of them.
    """
    context.measures.clear()
    alone = image_rows(context, loaded[0])
    places = {key["sent_id"]: number for number, key in enumerate(loaded[0].keys)}
    columns = {name: float("nan") for found in context.measures.values() for name in found}
    rows = [
        row | (context.measures[places[row["sent_id"]]] if row["method"] == UNPRUNED else columns) for row in alone.rows
    ]
    if official is None:
        return alone._replace(rows=rows)
    drawn = image_rows(official, loaded[1])
    rows += [row | columns for row in drawn.rows]
    return alone._replace(rows=rows, notes=(*alone.notes, *drawn.notes))
