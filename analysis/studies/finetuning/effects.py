"""The effects that claims and tables of the fine-tuning study are about, as weighted sums."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.studies.finetuning.config import GRID
from litelvlm.analysis.studies.finetuning.contrasts import Evaluated, Term
from litelvlm.analysis.studies.finetuning.trainings import UNTUNED
from litelvlm.arrays import NDArray


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


def rank_agreement(found: Evaluated, budget: int) -> Float[NDArray[np.float64], " trainings"]:
    """Kendall's tau-b of the methods' scores before and after, for each training, -1 to 1."""
    before = [found.value(UNTUNED, 0, (m, budget)) for m in found.methods]
    return np.array(
        [
            stats.kendalltau(
                before, [found.value(m, training, (m, budget)) for m in found.methods]
            ).statistic
            for training in found.trainings
        ]
    )
