"""The sentence of the study faithfulness: whether the order brings the prediction back."""

from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _faithfulness(claims: Claims) -> str:
    if "F.insertion" not in claims:
        return ""
    return by_verdict(
        claims["F.insertion"],
        "Tokens in the reversed order bring the prediction back sooner than chance: area {}",
        "Tokens in the reversed order bring the prediction back no sooner than chance: area {}",
        "Whether tokens in the reversed order bring the prediction back sooner than chance is "
        "open: area {}",
    )


STORY = Story(sentence=_faithfulness, leads=("F.insertion",), seconds=31)
