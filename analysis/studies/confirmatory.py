"""The confirmatory hypotheses H1 to H8 of the studies, and their verdicts together.

The size of the family is always eight, whichever studies were run.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.verdicts import family_table

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


def confirmatory(claims: Iterable[Claim]) -> pd.DataFrame:
    """Holm's adjustment over H1 to H8, and the verdict that stands after it.

    Collect the claims of all runs of one model on one split and pass them in; claims with other ids
    (parts, controls, budgets) are exploratory and left out:

        claims = [claim for run in runs for claim in read_summary(run).claims]
        table = confirmatory(claims)

    Args:
        claims: At most one claim of each hypothesis.

    Returns:
        The lines of ``family_table``, one for each of ``HYPOTHESES``. p is as the claim has it,
        two-sided unless it says otherwise.

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
