"""The sentence of the study importance: whether kept tokens matter in the language model."""

from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _importance(claims: Claims) -> str:
    if "H6" not in claims:
        return ""
    return by_verdict(
        claims["H6"],
        "Tokens that the reversed ranking keeps are those that matter inside the language model "
        "more often than chance: overlap beyond chance {}",
        "Tokens that the reversed ranking keeps are not those that matter inside the language "
        "model more often than chance: overlap beyond chance {}",
        "Whether the tokens that the reversed ranking keeps are those that matter inside the "
        "language model is open: overlap beyond chance {}",
    )


STORY = Story(sentence=_importance, leads=("H6",), seconds=57)
