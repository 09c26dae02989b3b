"""The sentence of the study sweep: where the method beats random tokens."""

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.studies.stories.story import Claims, MethodScores, Story, by_verdict, shown


def _sweep(claims: Claims) -> str:
    against = {
        id.removeprefix("random@"): claim
        for id, claim in claims.items()
        if id.startswith("random@")
    }
    if not against:
        return ""
    largest, first = next(iter(against.items()))
    wins = [budget for budget, claim in against.items() if claim.verdict == "supported"]
    loses = [budget for budget, claim in against.items() if claim.verdict == "not supported"]
    if not wins and not loses:
        return by_verdict(
            first, "", "", f"Whether {PAPER} beats random tokens is open: cIoU {{}} at {largest}"
        )
    parts = [f"beats random tokens at {', '.join(wins)}"] if wins else []
    parts += [f"does not beat random tokens at {', '.join(loses)}"] if loses else []
    unsettled = [budget for budget in against if budget not in wins + loses]
    parts += [f"is open at {', '.join(unsettled)}"] if unsettled else []
    told = (wins or loses)[0]
    return (
        f"With {', '.join(against)} tokens to keep, {PAPER} {' and '.join(parts)}: difference in "
        f"cIoU {shown(against[told])} at {told}.{_rule(claims)}"
    )


def _rule(claims: Claims) -> str:
    """Whether the paper's own rule beats random tokens, in one more sentence; empty if not run."""
    of_rule = {
        id.removeprefix("rule.random@"): claim.verdict
        for id, claim in claims.items()
        if id.startswith("rule.random@")
    }
    if not of_rule:
        return ""
    words = {"supported": "does", "not supported": "does not", "undetermined": "is open"}
    told = [
        f"{word} at {', '.join(budgets)}"
        for verdict, word in words.items()
        if (budgets := [budget for budget, found in of_rule.items() if found == verdict])
    ]
    return f" By the paper's own rule, {PAPER_RULE}, it {'; '.join(told)}."


STORY = Story(
    sentence=_sweep,
    leads=("random@",),
    subject="masks",
    scores=MethodScores("ciou", "cIoU", "scores", "comparisons"),
    explorable=True,
    seconds=146,
)
