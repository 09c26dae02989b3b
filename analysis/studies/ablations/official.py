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
from litelvlm.analysis.stats.lines import adjusted
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.ablations.config import HALF, OPPOSITE, RASTER, REFILL, Config
from litelvlm.analysis.studies.ablations.pairs import Compared, Pair, compare, pair_claim
from litelvlm.analysis.studies.ablations.protocols import OFFICIAL
from litelvlm.analysis.studies.ablations.rows import PROTOCOLS_PART
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.paired import PairedScores, budgets_of, pair_scores

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


def official_table(rows: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Paired differences of the score in the official protocol, every pair at every budget.

    The table is empty if the protocol was not run.

    Columns: id, method, reference, budget, delta, low, high, p (image-level swap), p_holm (adjusted
    over all lines), n_images, n (drawn expressions).
    """
    paired = official_scores(rows)
    lines = [
        {"id": one.pair.id, "method": one.pair.first, "reference": one.pair.second}
        | {"budget": one.budget, "delta": one.delta.value}
        | {"low": one.delta.low, "high": one.delta.high, "p": one.p_value}
        | {"n_images": one.delta.n_images, "n": one.delta.n}
        for one in (compare_official(paired, config) if paired else [])
    ]
    table = pd.DataFrame(lines)
    return table if table.empty else table.assign(p_holm=adjusted(table, holm))


def official_claims(paired: PairedScores, config: Config) -> list[Claim]:
    """Every pair at the largest budget."""
    found = compare_official(paired, config, n_budgets=1)
    return [pair_claim(compared, config.margin, WHERE) for compared in found]


def official_scores(rows: pd.DataFrame) -> PairedScores | None:
    """Scores in the official protocol; None if it was not run."""
    official = rows[(rows["part"] == PROTOCOLS_PART) & (rows["protocol"] == OFFICIAL)]
    return None if official.empty else pair_scores(official)


def compare_official(
    paired: PairedScores, config: Config, n_budgets: int | None = None
) -> list[Compared]:
    """The pairs at the largest budgets, or at all of them."""
    budgets = budgets_of(paired.cells, PAPER)[:n_budgets]
    return compare(PAIRS, paired, SCORES[config.score], budgets, config.margin)
