"""The sentence of the study ablations: what is left of the method in a fair comparison."""

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.studies.stories.story import Claims, Story, by_verdict


def _ablations(claims: Claims) -> str:
    if "official.random" in claims:
        words = {
            "supported": "it does",
            "not supported": "it does not",
            "undetermined": "that is undetermined",
        }
        rule = claims.get("official.rule")
        told = f" By the paper's own rule, {PAPER_RULE}, {words[rule.verdict]}." if rule else ""
        lower = claims["official.random"].widest[1] < 0
        where = "With several expressions per conversation and the largest budget"
        found = by_verdict(
            claims["official.random"],
            f"{where}, {PAPER} beats random tokens: difference in cIoU {{}}",
            f"{where}, {PAPER} does {'worse than' if lower else 'not beat'} random tokens: "
            "difference in cIoU {}",
            f"{where}, whether {PAPER} beats random tokens is open: difference in cIoU {{}}",
        )
        return f"{found}{told}"
    if "H7" in claims:
        return by_verdict(
            claims["H7"],
            f"{PAPER} leads its best rival by more than 5 %: lead {{}}",
            f"{PAPER} does not lead its best rival by 5 %: lead {{}}",
            f"Whether {PAPER} leads its best rival by 5 % is open: lead {{}}",
        )
    return ""


STORY = Story(sentence=_ablations, leads=("official.random", "H7"), seconds=31)
