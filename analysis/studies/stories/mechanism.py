"""The sentence of the study mechanism: which probes remove the reversal."""

from litelvlm.analysis.studies.stories.story import Claims, Story, shown


def _mechanism(claims: Claims) -> str:
    removed = [claim for claim in claims.values() if claim.verdict == "supported"]
    if not removed:
        return ""
    most = max(removed, key=lambda claim: claim.estimate)
    return (
        f"Part of the reversal goes away under {len(removed)} of {len(claims)} probes; most under "
        f"{most.id}, where the reversal index falls by {shown(most)}."
    )


STORY = Story(sentence=_mechanism, seconds=26)
