"""Verdicts of a family of hypotheses together, with adjusted p-values.

Several tests are several chances of a false discovery. A claim's own verdict asks whether its 95 %
interval clears the null, as if it were the only one. Here Holm's adjustment runs over the whole
family. A hypothesis that was not tested counts with p = 1, so adding a run can strengthen a verdict
and never weakens one.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import ALPHA, Claim
from litelvlm.analysis.stats.significance import holm

NOT_TESTED = "not tested"
_UNTESTED = dict.fromkeys(("estimate", "low", "high", "null"), float("nan")) | {
    "n_images": 0,
    "n": 0,
}
"""What stands in the numbers of a hypothesis without a claim."""


def family_table(
    statements: Mapping[str, str],
    claims: Mapping[str, Claim],
    p_value: Callable[[Claim], float],
) -> pd.DataFrame:
    """A family after Holm's adjustment.

    Args:
        statements: What each member claims in short, by id.
        claims: Those that were tested, by id.
        p_value: Which p-value of a claim counts.

    Returns:
        One line for each member, in the order of ``statements``: id, statement (of the claim, else
        the one in short), estimate, low, high (of the widest interval), null, n_images, n (0 if not
        tested), p, p_holm, alone (the claim's verdict by itself) and verdict. "supported" needs the
        claim's own verdict and p_holm <= 0.05; "not supported" is the claim's own, since an
        adjustment guards only against false support; "not tested" if there is no claim;
        "undetermined" otherwise. Numbers that do not exist are nan.
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


def within_family(claims: Sequence[Claim], size: int | None = None) -> list[Claim]:
    """The same claims with the verdicts that Holm's adjustment over their family leaves.

    Args:
        claims: Members that could be tested; one without a p-value counts with p = 1.
        size: Number of members, tested or not; those of ``claims`` if None.
    """
    members = len(claims) if size is None else size
    known = [1.0 if np.isnan(claim.p_value) else claim.p_value for claim in claims]
    adjusted = holm(np.array([*known, *[1.0] * (members - len(known))]))
    return [
        claim.model_copy(
            update={
                "verdict": adjusted_verdict(claim.verdict, float(p)),
                "method": f"{claim.method}; Holm over {members}: p = {p:.3g}",
            }
        )
        for claim, p in zip(claims, adjusted, strict=False)
    ]
