"""Pairs of methods whose first is claimed to be better: differences, tests and claims."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE, RANDOM
from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.studies.ablations.config import (
    EMPTY,
    HALF,
    KERNEL_SHAP,
    OPPOSITE,
    RULE_OPPOSITE,
    SHUFFLED,
)
from litelvlm.analysis.studies.scores import Score
from litelvlm.analysis.studies.sweep.paired import PairedScores


class Pair(NamedTuple):
    """One comparison: its id, the method claimed to be better, the other one, and its meaning."""

    id: str
    first: str
    second: str
    null: str


class Compared(NamedTuple):
    """A pair at one budget: first minus second in a score.

    Attributes:
        pair: What was compared.
        score: In which score.
        budget: Visual tokens.
        delta: The difference with its interval over images.
        p_value: Of an image-level swap.
        p_equivalent: Of two one-sided tests against the margin.
        crossed: The difference over images and categories.
    """

    pair: Pair
    score: Score
    budget: int
    delta: Estimate
    p_value: float
    p_equivalent: float
    crossed: Crossed


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


def compare(
    pairs: Iterable[Pair], paired: PairedScores, score: Score, budgets: Sequence[int], margin: float
) -> list[Compared]:
    """Every pair at every budget, one that was not run left out.

    Args:
        pairs: To compare.
        paired: Scores of the methods.
        score: Which of them.
        budgets: At which to compare.
        margin: A difference within it counts as none.
    """
    found = []
    for pair in pairs:
        for budget in budgets:
            cells = (pair.first, budget), (pair.second, budget)
            if set(cells) <= set(paired.cells):
                delta = paired.difference(score, *cells)
                found.append(
                    Compared(
                        pair,
                        score,
                        budget,
                        delta.estimates()[0],
                        paired.swap_p_value(score, *cells),
                        float(delta.p_equivalent(margin)[0]),
                        paired.crossed_difference(score, *cells),
                    )
                )
    return found


def pair_claim(compared: Compared, margin: float, where: str = "") -> Claim:
    """The claim that the first method has the higher score; ``where`` ends its statement."""
    pair, label = compared.pair, compared.score.label
    return make_claim(
        pair.id,
        f"With {compared.budget} tokens {pair.first} has a higher {label} than "
        f"{pair.second}{where}.",
        compared.delta,
        0.0,
        f"{label} of {pair.null}",
        p_value=compared.p_value,
        margin=margin,
        p_equivalent=compared.p_equivalent,
        crossed=compared.crossed,
    )
