"""The sentence of the study sink: whether there is a sink."""

from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _sink(claims: Claims) -> str:
    if "H4" not in claims:
        return ""
    return by_verdict(
        claims["H4"],
        "There is a sink: [EOS] gives [SOS] {} times the attention of uniform attention",
        "There is no sink: [EOS] gives [SOS] {} times the attention of uniform attention",
        "Whether there is a sink is open: [EOS] gives [SOS] {} times the uniform attention",
    )


STORY = Story(sentence=_sink, leads=("H4",), seconds=24)
