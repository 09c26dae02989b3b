"""Pairs of methods whose first is claimed to be better in cIoU: differences, tests and claims."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate
from litelvlm.analysis.studies.sweep.estimates import cell_index, difference, swap_p_value
from litelvlm.analysis.studies.sweep.wide import Wide


class Pair(NamedTuple):
    """One comparison: its id, the method claimed to be better, the other one, and its meaning."""

    id: str
    first: str
    second: str
    null: str


class Compared(NamedTuple):
    """A pair at one budget: first minus second in cIoU, and the p-value of an image-level swap."""

    pair: Pair
    budget: int
    delta: Estimate
    p_value: float


def compare(
    pairs: Iterable[Pair],
    wide: Wide,
    scores: Bootstrap,
    budgets: Sequence[int],
) -> list[Compared]:
    """Every pair at every budget, one that was not run left out.

    Args:
        pairs: To compare.
        wide: Lines of the methods.
        scores: ``score_bootstrap`` of these.
        budgets: At which to compare.
    """
    found = []
    for pair in pairs:
        for budget in budgets:
            first, second = (pair.first, budget), (pair.second, budget)
            if {first, second} <= set(wide.cells):
                delta = difference(
                    scores, cell_index(wide, first, "ciou"), cell_index(wide, second, "ciou")
                )
                p_value = swap_p_value(wide, first, second, "ciou")
                found.append(Compared(pair, budget, delta.estimates()[0], p_value))
    return found


def pair_claim(compared: Compared, where: str = "") -> Claim:
    """The claim that the first method has the higher cIoU; ``where`` ends its statement."""
    pair, budget, delta, p_value = compared
    statement = f"With {budget} tokens {pair.first} has a higher cIoU than {pair.second}{where}."
    return make_claim(pair.id, statement, delta, 0.0, f"cIoU of {pair.null}", p_value=p_value)
