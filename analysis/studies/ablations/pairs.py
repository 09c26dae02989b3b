"""Pairs of methods whose first is claimed to be better: differences, tests and claims."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE, RANDOM
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.lines import adjusted
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.ablations.config import (
    EMPTY,
    HALF,
    KERNEL_SHAP,
    OPPOSITE,
    RASTER,
    REFILL,
    RULE_OPPOSITE,
    SHUFFLED,
    Config,
)
from litelvlm.analysis.studies.ablations.protocols import OFFICIAL
from litelvlm.analysis.studies.ablations.rows import PROTOCOLS_PART
from litelvlm.analysis.studies.sweep.paired import (
    MethodBudget,
    PairedScores,
    better_claim,
    budgets_of,
    pair_scores,
)


class Pair(NamedTuple):
    """One comparison: its id, the method claimed to be better, the other one, and its meaning."""

    id: str
    first: str
    second: str
    null: str


PAIRS = (
    Pair("worst_first", PAPER, OPPOSITE, "the highest similarities instead of the lowest"),
    Pair("true_text", PAPER, SHUFFLED, "the lowest similarities to the text of another image"),
    Pair("any_text", PAPER, EMPTY, "the lowest similarities to an empty text"),
    Pair("value_norm", PAPER, "value_norm", "the largest value norms, without any text"),
    Pair("even", PAPER, "uniform", "evenly spread tokens"),
    Pair("recovery", HALF, PAPER, "the texts' choice alone, without context tokens"),
    Pair("rule", PAPER_RULE, PAPER, "the released code, without context for a single text"),
    Pair(
        "rule.worst_first",
        PAPER_RULE,
        RULE_OPPOSITE,
        "the highest similarities, by the paper's own rule",
    ),
    Pair("rule.random", PAPER_RULE, RANDOM, "random tokens"),
    Pair("rule.even", PAPER_RULE, "uniform", "evenly spread tokens"),
    Pair(
        "llm_attention",
        "llm_attention",
        PAPER,
        "the paper's method; attention is taken from an unpruned first pass",
    ),
    Pair(
        "llm_gradient",
        "llm_gradient",
        PAPER,
        "the paper's method; gradients are taken from an unpruned first pass",
    ),
    Pair(
        "block_loo",
        "block_loo",
        PAPER,
        "the paper's method; blocks are left out in turn in an unpruned first pass",
    ),
    Pair(
        "kernel_shap",
        KERNEL_SHAP,
        PAPER,
        "the paper's method; Shapley values take many passes before the first one",
    ),
)
WHERE = ", in the official protocol"
"""What statements of claims end with."""
OFFICIAL_PAIRS = (
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
"""What carries the score in the official protocol, with several expressions in one conversation.

There, each text chooses only its share of the budget, the shares overlap, and context tokens, which
read no text, fill the rest. The released code passes them to the language model in the order of
their score. The score of the whole tells nothing about any one of these parts, so each is reversed
or removed while the others stay.

Lines are drawn expressions; intervals and tests take images, with all their draws, as units. Draws
are independent between images, so that this covers their noise too.
"""


def cells_of(
    pairs: Iterable[Pair], paired: PairedScores, n_budgets: int | None = None
) -> Iterator[tuple[Pair, tuple[MethodBudget, MethodBudget]]]:
    """Every pair at the paper's largest budgets, or at all; one that was not run is left out."""
    for pair in pairs:
        for budget in budgets_of(paired.cells, PAPER)[:n_budgets]:
            cells = (pair.first, budget), (pair.second, budget)
            if set(cells) <= set(paired.cells):
                yield pair, cells


def pair_claims(
    pairs: Iterable[Pair], paired: PairedScores, margin: float, where: str = ""
) -> list[Claim]:
    """Claims at the largest budget that the first method of a pair has the higher main score.

    Args:
        pairs: To compare.
        paired: Scores of the methods.
        margin: A difference within it counts as none.
        where: What every statement ends with, before its full stop.
    """
    score = paired.main
    return [
        better_claim(
            pair.id,
            f"With {cells[0][1]} tokens {pair.first} has a higher {score.label} than "
            f"{pair.second}{where}.",
            paired,
            score,
            cells,
            f"{score.label} of {pair.null}",
            margin,
        )
        for pair, cells in cells_of(pairs, paired, 1)
    ]


def official_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of the main score in the official protocol, every pair at every budget.

    The table is empty if the protocol was not run.

    Columns: id, method, reference, budget, those of ``PairedEffect.line`` (n counts
    drawn expressions), and p_holm (adjusted over all lines).
    """
    paired = official_scores(rows)
    if paired is None:
        return pd.DataFrame()
    table = pd.DataFrame(
        [
            {"id": pair.id, "method": pair.first, "reference": pair.second, "budget": cells[0][1]}
            | paired.difference_line(paired.main, *cells)
            for pair, cells in cells_of(OFFICIAL_PAIRS, paired)
        ]
    )
    return table if table.empty else table.assign(p_holm=adjusted(table, holm))


def official_claims(paired: PairedScores, config: Config) -> list[Claim]:
    """Every pair at the largest budget."""
    return pair_claims(OFFICIAL_PAIRS, paired, config.margin, WHERE)


def official_scores(rows: pd.DataFrame) -> PairedScores | None:
    """Scores in the official protocol; None if it was not run."""
    official = rows[(rows["part"] == PROTOCOLS_PART) & (rows["protocol"] == OFFICIAL)]
    return None if official.empty else pair_scores(official)
