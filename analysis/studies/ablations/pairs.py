"""Pairs of methods whose first is claimed to be better in cIoU: differences, tests and claims."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.studies.sweep.estimates import (
    cell_index,
    crossed_difference,
    difference,
    swap_p_value,
)
from litelvlm.analysis.studies.sweep.wide import Wide

MARGIN = 0.01
"""One point of cIoU or gIoU counts as no difference."""


class Pair(NamedTuple):
    """One comparison: its id, the method claimed to be better, the other one, and its meaning."""

    id: str
    first: str
    second: str
    null: str


class Compared(NamedTuple):
    """A pair at one budget: first minus second in cIoU.

    Attributes:
        pair: What was compared.
        budget: Visual tokens.
        delta: The difference with its interval over images.
        p_value: Of an image-level swap.
        p_equivalent: Of two one-sided tests against ``MARGIN``.
        crossed: The difference over images and categories.
    """

    pair: Pair
    budget: int
    delta: Estimate
    p_value: float
    p_equivalent: float
    crossed: Crossed


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
                found.append(
                    Compared(
                        pair,
                        budget,
                        delta.estimates()[0],
                        swap_p_value(wide, first, second, "ciou"),
                        float(delta.p_equivalent(MARGIN)[0]),
                        crossed_difference(wide, first, second),
                    )
                )
    return found


def pair_claim(compared: Compared, where: str = "") -> Claim:
    """The claim that the first method has the higher cIoU; ``where`` ends its statement."""
    pair, budget, delta, p_value, p_equivalent, crossed = compared
    statement = f"With {budget} tokens {pair.first} has a higher cIoU than {pair.second}{where}."
    return make_claim(
        pair.id,
        statement,
        delta,
        0.0,
        f"cIoU of {pair.null}",
        p_value=p_value,
        margin=MARGIN,
        p_equivalent=p_equivalent,
        crossed=crossed,
    )
