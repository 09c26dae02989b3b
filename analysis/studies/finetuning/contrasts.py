"""Weighted sums of the scores of fine-tuned models, one for each training and image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.runs.over_trainings import Evidence, over_both
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed_trainings import crossed_trainings
from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.analysis.studies.finetuning.trainings import NO_TRAINING, UNTUNED
from litelvlm.analysis.studies.scores import MAIN
from litelvlm.analysis.studies.sweep.paired import MethodBudget, PairedScores, pair_scores
from litelvlm.arrays import NDArray

Term = tuple[float, str, MethodBudget]
"""A weight, what the model was fine-tuned with, and a method with its budget."""


def label(tuned_with: str, training: int, method: str) -> str:
    """The name of one model under one method among all scores."""
    return f"{tuned_with} {training} {method}"


class Evaluated(NamedTuple):
    """Scores of every model, method and budget, all from the same resamples of images.

    Attributes:
        paired: Of all cells; the method of a cell is its ``label``.
        trainings: Seeds of the trainings.
        methods: Labels of the methods that prune.
        n_tokens: Visual tokens before pruning.
    """

    paired: PairedScores
    trainings: tuple[int, ...]
    methods: tuple[str, ...]
    n_tokens: int

    def cell(self, tuned_with: str, training: int, cell: MethodBudget) -> MethodBudget:
        """The place of a score among all of them."""
        seed = NO_TRAINING if tuned_with == UNTUNED else training
        return label(tuned_with, seed, cell[0]), cell[1]

    def value(self, tuned_with: str, training: int, cell: MethodBudget) -> float:
        """The score of one model."""
        place = self.paired.place(MAIN, self.cell(tuned_with, training, cell))
        return float(self.paired.drawn.value[place])

    def by_training(self, terms: Sequence[Term]) -> Float[NDArray[np.float64], "trainings images"]:
        """A weighted sum of scores, linear in the images: its mean over them is the sum."""
        images, place = np.unique(self.paired.image_ids, return_inverse=True)
        share = len(images) / len(place)
        return np.stack(
            [
                share * np.bincount(place, self._lines(terms, training))
                for training in self.trainings
            ]
        )

    def _lines(self, terms: Sequence[Term], training: int) -> Float[NDArray[np.float64], " n"]:
        parts = [
            weight * self.paired.linear(MAIN, self.cell(tuned_with, training, cell))
            for weight, tuned_with, cell in terms
        ]
        total: NDArray[np.float64] = np.sum(parts, axis=0)
        return total

    def over_trainings(self, terms: Sequence[Term]) -> Estimate:
        """Its mean with an interval over trainings, of these images."""
        return t_estimate(self.by_training(terms).mean(axis=1))

    def over_images(self, terms: Sequence[Term]) -> Estimate:
        """Its mean with an interval over images, of these trainings."""
        spread = [
            (weight / len(self.trainings), self.cell(tuned_with, training, cell))
            for weight, tuned_with, cell in terms
            for training in self.trainings
        ]
        (estimate,) = self.paired.over_images(MAIN, spread).estimates()
        return estimate

    def evidence(self, terms: Sequence[Term], margin: float) -> Evidence:
        """Its mean with an interval over trainings and images together."""
        table = self.by_training(terms)
        if min(table.shape) < 2:  # one training or image says nothing of others
            alone = t_estimate(table.mean(axis=1))._replace(low=np.nan, high=np.nan)
            return Evidence(alone, np.nan, margin)
        found = over_both(crossed_trainings(table), margin)
        told = found.estimate.method.replace("categories", "images")
        return found._replace(estimate=found.estimate._replace(method=told))


def evaluated(rows: pd.DataFrame) -> Evaluated:
    """The scores of rows."""
    named = [
        label(str(tuned_with), int(training), str(method))
        for tuned_with, training, method in zip(
            rows["tuned_with"], rows["training"], rows["method"], strict=True
        )
    ]
    seeds = sorted({int(seed) for seed in rows["training"]} - {NO_TRAINING})
    tuned = dict.fromkeys(str(name) for name in rows["tuned_with"])
    methods = [str(name) for name in dict.fromkeys(rows["method"]) if name in tuned]
    unpruned = rows.loc[rows["method"] == methods[0], "budget"]
    return Evaluated(
        pair_scores(rows.assign(method=named), [MAIN]),
        tuple(seeds),
        tuple(methods[1:]),
        int(unpruned.iloc[0]),
    )
