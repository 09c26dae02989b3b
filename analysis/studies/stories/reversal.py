"""The sentence of the study reversal: whether the ranking is reversed."""

from litelvlm.analysis.studies.reversal.rows import SUBSTITUTES
from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict, capital, shown


def _reversal(claims: Claims) -> str:
    who = "CLIP"
    if "H1" not in claims:
        # Without towers of CLIP the first substitute for its similarity is told.
        name = next(iter(SUBSTITUTES))
        found = {id.partition("@")[0]: claims[id] for id in claims if id.endswith(f"@{name}")}
        claims, who = found, f"the substitute {name}"
    if "H1" not in claims or "H1.sign" not in claims:
        return ""
    sign = claims["H1.sign"]
    if sign.verdict != "supported":
        return by_verdict(
            sign,
            "",
            f"{capital(who)}'s ranking is not reversed on the named object: reversal index {{}}",
            f"Whether {who} ranks the named object's tokens low is open: reversal index {{}}",
        )
    beyond = {
        "supported": "and lower than its place explains",
        "not supported": "but no lower than its place explains",
        "undetermined": "but whether its place explains this is open",
    }[claims["H1"].verdict]
    text = {
        "supported": "; texts about other images do so less",
        "not supported": "; other texts do the same",
        "undetermined": "",
    }[claims["H2"].verdict if "H2" in claims else "undetermined"]
    return (
        f"{capital(who)} ranks the named object's tokens low, {beyond}{text}: reversal index "
        f"{shown(sign)}."
    )


STORY = Story(sentence=_reversal, leads=("H1.sign",), subject="ranking", seconds=48)
