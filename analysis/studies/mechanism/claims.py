"""Claims of the mechanism study: whether a part of the reversal goes away under each probe."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.contrasts import contrast_claims
from litelvlm.analysis.studies.mechanism.probes import BASE, PROBES
from litelvlm.analysis.studies.mechanism.tables import changes

MEAN_TEXT = "no_mean_text"
"""The probe that projects out the direction that all texts share."""


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """For every probe, whether the reversal falls under it; undetermined without a reversal.

    Then the settled contrasts of readouts and texts.
    """
    probes = [
        make_claim(
            f"{line['probe']}@{line['clip_model']}".removesuffix("@"),
            f"Part of the reversal goes away with: {line['name']}; targets at least half visible.",
            fall,
            0.0,
            "the reversal of the released ranking stays",
            p_value=p_value,
            excluded=excluded,
            crossed=crossed,
        )
        for line, fall, crossed, p_value, excluded in changes(rows, config.margin)
        if line["probe"] != BASE
    ]
    return [*probes, *contrast_claims(rows, config)]


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the probes say together."""
    own = [claim for claim in claims if claim.id in PROBES]
    if not own:
        return "No probe could be read."
    if not any(np.isfinite(claim.estimate) for claim in own):
        return (
            "No probe is judged: the reversal index of the released ranking "
            "is not shown to lie above 0."
        )
    ids = {
        verdict: ", ".join(claim.id for claim in own if claim.verdict == verdict)
        for verdict in _SENTENCES
    }
    told = " ".join(
        sentence.format(ids[verdict]) for verdict, sentence in _SENTENCES.items() if ids[verdict]
    )
    seen = ", ".join(claim.id for claim in own if claim.seen_only)
    if seen:
        told += (
            f" Among the categories seen here RI changes under {seen}; "
            "for other categories this is open."
        )
    return told + _mean_text(tables.get("probes", pd.DataFrame()))


def _mean_text(probes: pd.DataFrame) -> str:
    """What it means if the reversal goes with what all texts share; empty if it does not."""
    if probes.empty:
        return ""
    line = probes[(probes["clip_model"] == "") & (probes["probe"] == MEAN_TEXT)]
    if line.empty or line["verdict"].iloc[0] not in ("removed", "flipped"):
        return ""
    ri, base = float(line["ri"].iloc[0]), float(line["ri_base"].iloc[0])
    told = f" With the mean text projected out the index falls from {base:.2f} to {ri:.2f}"
    if line["verdict"].iloc[0] == "removed":
        return (
            f"{told}: no reversal is left. So the reversal lies in the direction that all texts "
            "share, not in the part that tells one text from another."
        )
    return (
        f"{told}: the referent's tokens now rank high. So the reversal lies in the direction that "
        "all texts share, which points away from objects; what is left of a text, the part that "
        "tells it from other texts, points towards its referent."
    )


_SENTENCES = {
    "supported": "Part of the reversal goes away under {}.",
    "not supported": "None of it goes away under {}.",
    "undetermined": "Whether any of it goes away cannot be told for {}.",
}
