"""The sentence of the study sink_causal: whether the sink changes the reversal."""

from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _sink_causal(claims: Claims) -> str:
    if "H5" not in claims:
        return ""
    return by_verdict(
        claims["H5"],
        "The sink changes the reversal: hiding [SOS] moves the reversal index by {} more than "
        "hiding a word",
        "The sink does not explain the reversal: hiding [SOS] moves the reversal index no more "
        "than hiding a word, difference {}",
        "Whether the sink changes the reversal is open: hiding [SOS] or a word moves the reversal "
        "index, difference {}",
    )


STORY = Story(sentence=_sink_causal, leads=("H5",), seconds=60)
