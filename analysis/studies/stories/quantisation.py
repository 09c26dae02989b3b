"""The sentence of the study quantisation: whether pruning costs more with fewer bits."""

from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _quantisation(claims: Claims) -> str:
    means = [id for id in claims if id.startswith("interaction.") and "@" not in id]
    if not means:
        return ""
    telling = ("supported", "undetermined", "not supported")
    # An effect is told first, then what is open, then what was ruled out.
    most = min(
        (claims[id] for id in means),
        key=lambda claim: (telling.index(claim.verdict), -claim.estimate),
    )
    way = most.id.removeprefix("interaction.")
    return by_verdict(
        most,
        f"Pruning costs more with the language model in {way}: cIoU {{}} beyond the sum of both "
        "losses",
        f"Pruning costs no more with the language model in {way}: cIoU {{}} beyond the sum of "
        "both losses",
        f"Whether pruning costs more with the language model in {way} is open: cIoU {{}} beyond "
        "the sum of both losses",
    )


STORY = Story(sentence=_quantisation)
