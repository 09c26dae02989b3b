"""The confirmatory hypotheses H1 to H8 together, with adjusted p-values.

Eight tests are eight chances of a false discovery. A claim's own verdict asks whether its 95 %
interval clears the null, as if it were the only one. Here Holm's adjustment runs over the whole
family. Its size is always eight: a hypothesis that was not tested counts with p = 1, so adding a
run can strengthen a verdict and never weakens one.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import ALPHA, Claim
from litelvlm.analysis.stats.significance import holm

HYPOTHESES: Mapping[str, str] = MappingProxyType(
    {
        "H1": "the referent's tokens rank low, beyond what its place in the image explains",
        "H2": "the reversal is stronger with the true text than with others",
        "H3": "the reversal is stronger on the referent than on another object of its category",
        "H4": "[EOS] attends to [SOS] more than uniform attention does",
        "H5": "without the sink of the text tower the reversal changes more than without a word",
        "H6": (
            "the tokens that the reversed ranking keeps are those that matter inside "
            "the language model, beyond chance"
        ),
        "H7": "LiteLVLM exceeds the best rival by more than 5 %",
        "H8": "LiteLVLM keeps 90 % of the unpruned cIoU",
    }
)
"""The confirmatory hypotheses in short; claims with these ids say exactly what was tested."""
NOT_TESTED = "not tested"
_UNTESTED = dict.fromkeys(("estimate", "low", "high", "null"), float("nan")) | {
    "n_images": 0,
    "n": 0,
}
"""What stands in the numbers of a hypothesis without a claim."""


def confirmatory(claims: Iterable[Claim]) -> pd.DataFrame:
    """Holm's adjustment over H1 to H8, and the verdict that stands after it.

    Collect the claims of all runs of one model on one split and pass them in; claims with other ids
    (parts, controls, budgets) are exploratory and left out:

        claims = [claim for run in runs for claim in read_summary(run).claims]
        table = confirmatory(claims)

    Args:
        claims: At most one claim of each hypothesis.

    Returns:
        Eight lines in the order of ``HYPOTHESES``: id, statement (of the claim, else the hypothesis
        in short), estimate, low, high (of the widest interval), null, n_images, n (0 if not
        tested), p (as the claim has it, two-sided unless it says otherwise), p_holm, alone (the
        claim's verdict by itself) and verdict. "supported" needs the claim's own verdict and
        p_holm <= 0.05; "not supported" is the claim's own, since an adjustment guards only against
        false support; "not tested" if there is no claim; "undetermined" otherwise. Numbers that
        do not exist are nan.

    Raises:
        ValueError: If a hypothesis has two claims.
    """
    found: dict[str, Claim] = {}
    for claim in (claim for claim in claims if claim.id in HYPOTHESES):
        if claim.id in found:
            raise ValueError(
                f"{claim.id} occurs twice; give one run of each study, "
                "of one model on one split in one protocol"
            )
        found[claim.id] = claim
    return family_table(HYPOTHESES, found, lambda claim: claim.p_value)


def family_table(
    statements: Mapping[str, str],
    claims: Mapping[str, Claim],
    p_value: Callable[[Claim], float],
) -> pd.DataFrame:
    """A family after Holm's adjustment: one line for each member, as ``confirmatory`` says.

    Args:
        statements: What each member claims in short, by id.
        claims: Those that were tested, by id.
        p_value: Which p-value of a claim counts.
    """
    p_values = np.array([p_value(claims[id]) if id in claims else np.nan for id in statements])
    known = ~np.isnan(p_values)
    adjusted = np.where(known, holm(np.where(known, p_values, 1.0)), np.nan)
    lines = []
    for (id, short), p, p_holm in zip(statements.items(), p_values, adjusted, strict=True):
        tested = claims.get(id)
        numbers = {name: getattr(tested, name, missing) for name, missing in _UNTESTED.items()}
        if tested is not None:
            numbers |= dict(zip(("low", "high"), tested.widest, strict=True))
        alone = tested.verdict if tested else NOT_TESTED
        lines.append(
            {"id": id, "statement": tested.statement if tested else short}
            | numbers
            | {"p": float(p), "p_holm": float(p_holm), "alone": alone}
            | {"verdict": adjusted_verdict(alone, float(p_holm))}
        )
    return pd.DataFrame(lines)


def adjusted_verdict(alone: str, p_holm: float) -> str:
    """What remains of a claim's verdict once the whole family is counted.

    Example:
        >>> adjusted_verdict("supported", 0.03), adjusted_verdict("supported", 0.2)
        ('supported', 'undetermined')
    """
    return "undetermined" if alone == "supported" and not p_holm <= ALPHA else alone
