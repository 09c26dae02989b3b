"""What carries the score in the official protocol, with several expressions in one conversation.

There, each text chooses only its share of the budget, the shares overlap, and context tokens, which
read no text, fill the rest. The released code passes them to the language model in the order of
their score. The score of the whole tells nothing about any one of these parts, so each is reversed
or removed while the others stay.

Lines are drawn expressions; intervals and tests take images, with all their draws, as units. Draws
are independent between images, so that this covers their noise too.
"""

import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE, RANDOM
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.lines import adjusted
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.ablations.config import HALF, OPPOSITE, RASTER, REFILL
from litelvlm.analysis.studies.ablations.pairs import Compared, Pair, compare, pair_claim
from litelvlm.analysis.studies.ablations.protocols import OFFICIAL
from litelvlm.analysis.studies.ablations.rows import PROTOCOLS_PART
from litelvlm.analysis.studies.sweep.estimates import score_bootstrap
from litelvlm.analysis.studies.sweep.wide import budgets_of, widen

WHERE = ", in the official protocol"
"""What statements of claims end with."""
PAIRS = (
    Pair("official.random", PAPER, RANDOM, "random tokens"),
    Pair("official.even", PAPER, "uniform", "evenly spread tokens"),
    Pair(
        "official.direction",
        PAPER,
        OPPOSITE,
        "the highest similarities, filled with context tokens likewise",
    ),
    Pair(
        "official.recovery",
        PAPER,
        REFILL,
        "no context tokens: where texts choose the same token, they choose their next ones",
    ),
    Pair("official.adaptive", PAPER, HALF, "a fixed half of the budget for context tokens"),
    Pair("official.rule", PAPER_RULE, RANDOM, "random tokens; the paper's own rule"),
    Pair(
        "official.text",
        RASTER,
        "value_norm",
        "the largest value norms, which read no text; both in raster order",
    ),
    Pair(
        "official.order",
        RASTER,
        PAPER,
        "the same tokens in the released order, context tokens by score first",
    ),
)


def official_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of cIoU in the official protocol, every pair at every budget.

    The table is empty if the protocol was not run.

    Columns: id, method, reference, budget, delta, low, high, p (image-level swap), p_holm (adjusted
    over all lines), n_images, n (drawn expressions).
    """
    lines: list[Row] = [
        {"id": pair.id, "method": pair.first, "reference": pair.second, "budget": budget}
        | {"delta": delta.value, "low": delta.low, "high": delta.high, "p": p_value}
        | {"n_images": delta.n_images, "n": delta.n}
        for pair, budget, delta, p_value, _, _ in _compared(rows)
    ]
    table = pd.DataFrame(lines)
    return table if table.empty else table.assign(p_holm=adjusted(table, holm))


def official_claims(rows: pd.DataFrame) -> list[Claim]:
    """Every pair at the largest budget; none if the official protocol was not run."""
    found = _compared(rows, n_budgets=1)
    return [pair_claim(compared, WHERE) for compared in found]


def official_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the official protocol."""
    return rows[(rows["part"] == PROTOCOLS_PART) & (rows["protocol"] == OFFICIAL)]


def _compared(rows: pd.DataFrame, n_budgets: int | None = None) -> list[Compared]:
    official = official_rows(rows)
    if official.empty:
        return []
    wide = widen(official)
    budgets = budgets_of(wide.cells, PAPER)[:n_budgets]
    return compare(PAIRS, wide, score_bootstrap(wide), budgets)
