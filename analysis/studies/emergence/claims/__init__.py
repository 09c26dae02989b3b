"""Claims of the emergence study: which conditions move reversal and sink, and whether they link."""

from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.over_trainings import MIN_TRAININGS
from litelvlm.analysis.studies.emergence.claims.conditions import (
    base_claims,
    cell_claims,
    effect_claims,
)
from litelvlm.analysis.studies.emergence.claims.links import gain_claims, sink_claims
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.crossed import reversal_by_category
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.training.trainings.design import ALONE

_SINKS = {
    "sink.causes": {
        "supported": "Hiding [SOS] weakens the reversal, so the sink has a part in it.",
        "not supported": "Hiding [SOS] does not weaken the reversal.",
        "undetermined": "Whether the sink has a part in the reversal is open.",
    },
    "sink.added": {
        "supported": "More attention on [SOS] strengthens it.",
        "not supported": "More attention on [SOS] does not strengthen it.",
        "undetermined": "What more attention on [SOS] does to it is open.",
    },
    "sink.made": {
        "supported": "Towers trained to have a sink have a stronger reversal that follows the "
        "text.",
        "not supported": "Towers trained to have a sink have no stronger reversal.",
        "undetermined": "What a sink made in training does to the reversal is open.",
    },
}
_GAINS = {
    "gain.follows": {
        "supported": "LiteLVLM gains more over random tokens where the reversal is stronger, part "
        "of which is built in",
        "not supported": "LiteLVLM gains no more over random tokens where the reversal is stronger",
        "undetermined": "Whether a stronger reversal gives LiteLVLM a larger gain is open",
    },
    "gain.positive": {
        "supported": "where the index is positive it beats them on average",
        "not supported": "a positive index is not enough to beat them",
        "undetermined": "whether a positive index is enough to beat them is open",
    },
    "gain.negative": {
        "supported": "where it is negative it loses to them on average",
        "not supported": "a negative index does not make it lose",
        "undetermined": "whether it loses where the index is negative is open",
    },
}
_VALUES = {
    "supported": "Tokens of the highest value-path similarity beat those of LiteLVLM",
    "not supported": "Tokens of the highest value-path similarity do not beat those of LiteLVLM",
    "undetermined": "Whether tokens of the highest value-path similarity beat LiteLVLM's is open",
}


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """All claims that the measured trainings allow.

    Ids: "STAGE.OUTCOME.FACTOR" for the effects that were settled before any training,
    "STAGE.OUTCOME.CELL" for each condition that is changed alone, "base.*" for the means of a
    stage's trainings, "together", "mediator" and "sink.*" for what goes with the reversal,
    "gain.*" for what LiteLVLM and the value path gain over random tokens, "value.*" and
    "lowest.text" for what the value path gains over others, and whether both need the true text.

    Args:
        rows: Of the study.
        config: Gives margins and gates.
    """
    table, reversals = outcome_table(rows, config.gate), reversal_by_category(rows)
    return [
        *effect_claims(reversals, table, config),
        *base_claims(reversals, table, config),
        *cell_claims(reversals, table, config),
        *sink_claims(reversals, table, config),
        *gain_claims(rows, table, config),
    ]


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together, and what they leave open."""
    if not claims:
        return "No training is measured yet."
    cells = [claim for claim in claims if claim.id.split(".")[0] in ALONE]
    by_verdict = {
        verdict: [c.id for c in claims if c.verdict == verdict and c not in cells]
        for verdict in ("supported", "not supported", "undetermined")
    }
    listed = "; ".join(f"{verdict}: {', '.join(ids)}" for verdict, ids in by_verdict.items() if ids)
    parts = [f"{listed}.", *map(_of_sink, claims), _of_cells(cells)]
    parts += [
        "Small CLIPs on drawn scenes: what holds here is not evidence about published CLIP.",
        _of_gains({claim.id: claim for claim in claims}),
    ]
    return " ".join(part for part in parts if part)


def _of_sink(claim: Claim) -> str:
    """What one claim says of the sink's part; empty for a claim about something else."""
    if claim.id == "sink.causes" and claim.verdict == "supported" and claim.high < claim.margin:
        return f"Hiding [SOS] weakens the reversal by less than {claim.margin:g}: next to nothing."
    return _SINKS.get(".".join(claim.id.split(".")[:2]), {}).get(claim.verdict, "")


def _of_cells(own: Sequence[Claim]) -> str:
    """How many claims about a condition are supported, and what keeps the others open."""
    if not own:
        return ""
    few = sum(claim.n < MIN_TRAININGS for claim in own)
    known = [claim.id for claim in own if claim.verdict == "supported"]
    named = f" ({', '.join(known)})" if known else ""
    return (
        f"Of {len(own)} exploratory claims about a changed condition {len(known)} are supported"
        f"{named}; {few} rest on fewer than {MIN_TRAININGS} trainings and stay undetermined."
    )


def _of_gains(claims: Mapping[str, Claim]) -> str:
    """Whether the reversal of a training tells what LiteLVLM gains there."""
    if "gain.follows" not in claims:
        return (
            "Whether the reversal at the used layer predicts what LiteLVLM gains is open: fewer "
            f"than {MIN_TRAININGS} trainings have a reader that works."
        )
    parts = [words[claims[id].verdict] for id, words in _GAINS.items() if id in claims]
    told = (
        f"{'; '.join(parts)} ({claims['gain.follows'].n} trainings, small readers on symbols or "
        "drawn scenes, exploratory)."
    )
    if value := claims.get("value.lowest"):
        told += f" {_VALUES[value.verdict]} ({value.n} trainings, exploratory)."
    return told
