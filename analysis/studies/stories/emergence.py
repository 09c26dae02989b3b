"""The sentence of the study emergence: which condition of training matters most."""

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.studies.stories.story import Claims, Story, shown
from litelvlm.training.trainings.design import CONFIRMATORY


def largest_effect(claims: Claims) -> Claim | None:
    """Of the conditions of training that are shown to matter, the one that matters most.

    Args:
        claims: Of the emergence study; effects are named "STAGE.OUTCOME.FACTOR".
    """
    found = [claim for claim in _settled(claims) if claim.verdict == "supported"]
    return max(found, key=lambda claim: abs(claim.estimate), default=None)


def _settled(claims: Claims) -> list[Claim]:
    return [claims[effect.name] for effect in CONFIRMATORY if effect.name in claims]


def _emergence(claims: Claims) -> str:
    settled, most = _settled(claims), largest_effect(claims)
    if not settled:
        return ""
    if most is None:
        return (
            f"None of the {len(settled)} conditions of training that were settled beforehand is "
            "shown to move the sink or the reversal."
        )
    n = sum(claim.verdict == "supported" for claim in settled)
    return (
        f"{most.statement.rstrip('.')}: by {shown(most)} over {most.n} trainings. Of the "
        f"{len(settled)} conditions settled beforehand {n} {'is' if n == 1 else 'are'} shown to "
        "matter."
    )


STORY = Story(sentence=_emergence, strongest=largest_effect, seconds=5)
