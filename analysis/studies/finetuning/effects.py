"""The effects that claims and tables of the fine-tuning study are about, as weighted sums."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.stats.bootstrap import Bootstrap, contrast
from litelvlm.analysis.studies.finetuning.config import GRID
from litelvlm.analysis.studies.finetuning.contrasts import Evaluated, Term
from litelvlm.analysis.studies.finetuning.trainings import UNTUNED
from litelvlm.analysis.studies.scores import MAIN
from litelvlm.arrays import Array


class RankAgreement(NamedTuple):
    """How far the methods keep their order.

    Attributes:
        by_training: Kendall's tau of each training, on all images.
        over_images: Its mean over trainings, on resamples of the images.
    """

    by_training: Float[Array, " trainings"]
    over_images: Bootstrap


def gap_before(budget: int) -> list[Term]:
    """The grid minus the paper's method, both in the model before fine-tuning."""
    return [(1.0, UNTUNED, (GRID, budget)), (-1.0, UNTUNED, (PAPER, budget))]


def gap_after(budget: int) -> list[Term]:
    """The grid minus the paper's method, each in the models fine-tuned with it."""
    return [(1.0, GRID, (GRID, budget)), (-1.0, PAPER, (PAPER, budget))]


def gap_closed(budget: int) -> list[Term]:
    """What fine-tuning takes from the gap."""
    return [
        *gap_before(budget),
        *((-weight, name, cell) for weight, name, cell in gap_after(budget)),
    ]


def gain(method: str, budget: int) -> list[Term]:
    """What fine-tuning with a method adds under this method."""
    return [(1.0, method, (method, budget)), (-1.0, UNTUNED, (method, budget))]


def bound(method: str, others: Sequence[str], budget: int) -> list[Term]:
    """What the models fine-tuned with a method score above those of other methods, under it."""
    return [
        (1.0, method, (method, budget)),
        *((-1.0 / len(others), other, (method, budget)) for other in others),
    ]


def pruned_training(method: str, budget: int) -> list[Term]:
    """What training with a method's tokens adds to training with every token, under the method."""
    return [(1.0, method, (method, budget)), (-1.0, UNPRUNED, (method, budget))]


def mean_of(parts: Sequence[Sequence[Term]]) -> list[Term]:
    """The mean of several sums."""
    return [(weight / len(parts), name, cell) for terms in parts for weight, name, cell in terms]


def effects(found: Evaluated, budget: int) -> Mapping[tuple[str, str], list[Term]]:
    """Every effect at a budget, by its name and its method (empty where it is of several)."""
    methods = found.methods
    bounds = {m: bound(m, [one for one in methods if one != m], budget) for m in methods}
    return {
        ("gap before", ""): gap_before(budget),
        ("gap after", ""): gap_after(budget),
        ("gap closed", ""): gap_closed(budget),
        **{("gain", m): gain(m, budget) for m in methods},
        **{("pruned training", m): pruned_training(m, budget) for m in methods},
        **{("bound", m): terms for m, terms in bounds.items()},
        ("bound", ""): mean_of([*bounds.values()]),
    }


def rank_agreement(found: Evaluated, budget: int) -> RankAgreement:
    """Kendall's tau of the methods' scores before and after fine-tuning, -1 to 1."""
    methods, paired = found.methods, found.paired
    pairs = np.triu_indices(len(methods), 1)

    def signs(
        values: Float[Array, "b k"], tuned_with: Sequence[str], training: int
    ) -> Float[Array, "b p"]:
        places = [
            paired.place(MAIN, found.cell(name, training, (method, budget)))
            for name, method in zip(tuned_with, methods, strict=True)
        ]
        scores = values[:, places]
        above: Array = np.sign(scores[:, pairs[0]] - scores[:, pairs[1]])
        return above

    def taus(values: Float[Array, "b k"]) -> Float[Array, "b t"]:
        before = signs(values, [UNTUNED] * len(methods), 0)
        after = [signs(values, methods, training) for training in found.trainings]
        return np.stack([(before * one).mean(axis=1) for one in after], axis=1)

    def mean(values: Float[Array, "b k"]) -> Float[Array, "b 1"]:
        mean_tau: Array = taus(values).mean(axis=1, keepdims=True)
        return mean_tau

    return RankAgreement(taus(paired.drawn.value[None])[0], contrast(paired.drawn, mean))
