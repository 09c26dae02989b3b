"""What carries the score when expressions are asked as the official evaluation asks them, several in one conversation.

Each text then names only its share of the budget, the shares overlap, and context tokens, which read no text, fill the
rest; the released code gives them to the language model in the order of their score. A score of the whole says nothing
about any one of these, so each is turned round or taken away while the others stay.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from analysis.ablations_config import OPPOSITE, RASTER
from analysis.ablations_protocols import OFFICIAL
from analysis.ablations_rows import PROTOCOLS
from analysis.claims import Claim, make_claim
from analysis.statistics import RESAMPLES, Estimate
from analysis.sweep_config import PAPER
from analysis.sweep_tables import RANDOM, budgets_of, cell_index, difference, score_bootstrap, swap_p_value, widen


class Pair(NamedTuple):
    """One comparison: its id, the method that is to have the higher cIoU, the other one, and what that stands for."""

    id: str
    first: str
    second: str
    null: str


PAIRS = (
    Pair("official.random", PAPER, RANDOM, "random tokens"),
    Pair("official.even", PAPER, "uniform", "evenly spread tokens"),
    Pair("official.direction", PAPER, OPPOSITE, "the highest similarities, filled with context tokens likewise"),
    Pair("official.text", RASTER, "value_norm", "the largest value norms, which read no text; both in raster order"),
    Pair("official.order", RASTER, PAPER, "the same tokens in the released order, context tokens by score first"),
)


def official_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Paired differences of cIoU in the official protocol, every pair at every budget; empty if it was not run.

    Columns: id, method, reference, budget, delta, low, high, p (image-level swap), n_images, n (draws of expressions).
    """
    lines: list[dict[str, Any]] = [
        {"id": pair.id, "method": pair.first, "reference": pair.second, "budget": budget}
        | {"delta": delta.value, "low": delta.low, "high": delta.high, "p": p_value}
        | {"n_images": delta.n_images, "n": delta.n}
        for pair, budget, delta, p_value in _differences(rows, resamples, seed)
    ]
    return pd.DataFrame(lines)


def official_claims(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """Every pair at the largest budget; none if the official protocol was not run."""
    found = list(_differences(rows, resamples, seed))
    return [
        make_claim(
            pair.id,
            f"In the official protocol {pair.first} has a higher cIoU with {budget} tokens than {pair.second}.",
            delta,
            0.0,
            f"cIoU of {pair.null}",
            p_value=p_value,
        )
        for pair, budget, delta, p_value in found
        if budget == max(budget for _, budget, _, _ in found)
    ]


def _differences(rows: pd.DataFrame, resamples: int, seed: int) -> Iterator[tuple[Pair, int, Estimate, float]]:
    official = rows[(rows["part"] == PROTOCOLS) & (rows["protocol"] == OFFICIAL)]
    if official.empty:
        return
    wide = widen(official)
    scores = score_bootstrap(wide, resamples, seed)
    for pair in PAIRS:
        for budget in budgets_of(wide.cells, pair.first):
            first, second = (pair.first, budget), (pair.second, budget)
            delta = difference(scores, cell_index(wide, first, "ciou"), cell_index(wide, second, "ciou"))
            yield pair, budget, delta.estimates()[0], swap_p_value(wide, first, second, "ciou", resamples, seed)
