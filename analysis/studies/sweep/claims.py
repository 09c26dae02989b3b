"""Claims of a sweep: the method beats random tokens; H8, it keeps 90 % of the unpruned cIoU."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, RANDOM, UNPRUNED
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.stats.bootstrap import Bootstrap
from litelvlm.analysis.studies.sweep.estimates import (
    ONE_SIDED,
    cell_index,
    difference,
    retention,
    score_bootstrap,
    swap_p_value,
)
from litelvlm.analysis.studies.sweep.wide import budgets_of, protocol_name, widen

RETAINED = 0.90


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """The paper's method against random tokens at each budget, and H8; none if it was not swept."""
    if PAPER not in set(rows["method"]):
        return []
    wide = widen(rows)
    scores = score_bootstrap(wide)
    phrase = protocol_of(protocol_name(rows)).description
    (everything,) = budgets_of(wide.cells, UNPRUNED)
    budgets = [budget for budget in budgets_of(wide.cells, PAPER) if budget < everything]
    if not budgets:
        return []
    claims = []
    for budget in budgets:
        ours, theirs = (PAPER, budget), (RANDOM, budget)
        if theirs in wide.cells:
            delta = difference(
                scores, cell_index(wide, ours, "ciou"), cell_index(wide, theirs, "ciou")
            )
            claims.append(
                make_claim(
                    f"random@{budget}",
                    f"With {budget} tokens {PAPER} has a higher cIoU than random tokens, {phrase}.",
                    delta.estimates()[0],
                    0.0,
                    "cIoU of random tokens, mean over seeds",
                    p_value=swap_p_value(wide, ours, theirs, "ciou"),
                )
            )
    whole = cell_index(wide, (UNPRUNED, everything), "ciou")
    kept = retention(scores, cell_index(wide, (PAPER, budgets[0]), "ciou"), whole)
    return [*claims, retention_claim(kept, budgets[0], phrase)]


def retention_claim(kept: Bootstrap, budget: int, phrase: str) -> Claim:
    """H8; undetermined with its reason where the unpruned model scores 0, on a resample or all."""
    statement = (
        f"With {budget} tokens {PAPER} keeps at least {RETAINED:.0%} of the unpruned cIoU, "
        f"{phrase}."
    )
    estimate = kept.estimates(ONE_SIDED)[0]
    p_value = float(kept.p_values(RETAINED, one_sided=True)[0])
    lost, whole = int((~np.isfinite(kept.draws)).sum()), bool(np.isfinite(kept.value[0]))
    if lost or not whole:
        where = f"on {lost} of {len(kept.draws)} resamples" if whole else "on these images"
        reason = f"undefined: the unpruned cIoU is 0 {where}"
        estimate, p_value = kept.undefined(estimate.value, reason), np.nan
    return make_claim(
        "H8",
        statement,
        estimate,
        RETAINED,
        "share to be kept",
        p_value=p_value,
        p_claimed=p_value,
        one_sided=True,
    )


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    if not claims:
        return f"{PAPER} was not part of this sweep; see its tables."
    against = {
        claim.id.removeprefix("random@"): "too few" if _too_few(claim) else claim.verdict
        for claim in claims
        if claim.id.startswith("random@")
    }
    parts = []
    for found, what in (
        ("supported", "beats random tokens at"),
        ("not supported", "does not beat random tokens at"),
        ("undetermined", "cannot be told from random tokens at"),
        ("too few", "is not compared with random tokens, for want of images, at"),
    ):
        budgets = [budget for budget, result in against.items() if result == found]
        if budgets:
            parts.append(f"{what} {', '.join(budgets)} tokens")
    kept = [claim for claim in claims if claim.id == "H8"]
    if kept:
        parts.append(
            f"the claim that it keeps {RETAINED:.0%} of the unpruned cIoU is {kept[0].verdict}"
        )
    return f"{PAPER} " + "; ".join(parts) + "."


def _too_few(claim: Claim) -> bool:
    """Whether a verdict is missing because an interval needs more images, whatever it shows."""
    return claim.verdict == "undetermined" and claim.n_images < MIN_IMAGES
