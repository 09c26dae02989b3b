"""The finding of each study in a sentence, the claim behind it, and what pages need to know of it.

A study without an entry in ``STORIES`` is told by its first claim.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.studies.constructions import SUBSTITUTES

Claims = Mapping[str, Claim]
"""Claims of a finished run by id."""


class MethodScores(NamedTuple):
    """Where a summary keeps the scores of methods by budget, and which of them pages show.

    Attributes:
        metric: The score that pages show, in the column "metric" of both tables.
        label: The same for readers.
        scores: Table with a line per method, budget and metric.
        comparisons: Table with the share of a reference's score that each keeps.
    """

    metric: str
    label: str
    scores: str
    comparisons: str


@dataclass(frozen=True)
class Story:
    """How pages and commands summarise a study.

    Attributes:
        sentence: Its main result in one sentence with one number; "" where the claims that it needs
            are missing.
        leads: Ids of the claims that the sentence tells, the first that is there; an id that ends
            in "@" stands for every budget.
        strongest: Chooses the claim where no id does.
        subject: What it measures of pruning, "ranking" or "masks"; empty for anything else.
        scores: Its scores of methods by budget; None if it has none.
        explorable: Whether the explorer shows its rows.
    """

    sentence: Callable[[Claims], str] = lambda claims: ""
    leads: tuple[str, ...] = ()
    strongest: Callable[[Claims], Claim | None] = lambda claims: None
    subject: str = ""
    scores: MethodScores | None = None
    explorable: bool = False


def shown(claim: Claim) -> str:
    """The number of a claim with its widest interval, which the verdict follows."""
    return f"{number(claim.estimate)} {interval(*claim.widest)}"


def by_verdict(claim: Claim, yes: str, no: str, open_: str) -> str:
    """The sentence of a claim's verdict, with its number and, if it is open, reason and power."""
    sentences = {"supported": yes, "not supported": no, "undetermined": open_}
    told = sentences[claim.verdict].format(shown(claim))
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power))) + "."


def _one(id: str, *sentences: str) -> Callable[[Claims], str]:
    """The sentence of one claim: supported, not supported, undetermined."""
    return lambda claims: by_verdict(claims[id], *sentences) if id in claims else ""


def _capital(text: str) -> str:
    """A sentence's beginning."""
    return text[:1].upper() + text[1:]


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
            f"{_capital(who)}'s ranking is not reversed on the named object: reversal index {{}}",
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
        f"{_capital(who)} ranks the named object's tokens low, {beyond}{text}: reversal index "
        f"{shown(sign)}."
    )


def _mechanism(claims: Claims) -> str:
    removed = [claim for claim in claims.values() if claim.verdict == "supported"]
    if not removed:
        return ""
    most = max(removed, key=lambda claim: claim.estimate)
    return (
        f"Part of the reversal goes away under {len(removed)} of {len(claims)} probes; most under "
        f"{most.id}, where the reversal index falls by {shown(most)}."
    )


def largest_effect(claims: Claims) -> Claim | None:
    """Of the conditions of training that are shown to matter, the one that matters most.

    Args:
        claims: Of the emergence study; effects are named "STAGE.OUTCOME.FACTOR".
    """
    found = [claim for claim in _settled(claims) if claim.verdict == "supported"]
    return max(found, key=lambda claim: abs(claim.estimate), default=None)


def _settled(claims: Claims) -> list[Claim]:
    return [claim for id, claim in claims.items() if id.startswith(("A.sink.", "B.reversal."))]


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
        least = f"{100 * claims['H7'].null:g} %"
        return by_verdict(
            claims["H7"],
            f"{PAPER} leads its best rival by more than {least}: lead {{}}",
            f"{PAPER} does not lead its best rival by {least}: lead {{}}",
            f"Whether {PAPER} leads its best rival by {least} is open: lead {{}}",
        )
    return ""


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


STORIES: Mapping[str, Story] = MappingProxyType(
    {
        "reversal": Story(_reversal, ("H1.sign",), subject="ranking"),
        "mechanism": Story(_mechanism),
        "sink": Story(
            _one(
                "H4",
                "There is a sink: [EOS] gives [SOS] {} times the attention of uniform attention",
                "There is no sink: [EOS] gives [SOS] {} times the attention of uniform attention",
                "Whether there is a sink is open: [EOS] gives [SOS] {} times the uniform attention",
            ),
            ("H4",),
        ),
        "sink_causal": Story(
            _one(
                "H5",
                "The sink changes the reversal: hiding [SOS] moves the reversal index by {} more "
                "than hiding a word",
                "The sink does not explain the reversal: hiding [SOS] moves the reversal index no "
                "more than hiding a word, difference {}",
                "Whether the sink changes the reversal is open: hiding [SOS] or a word moves the "
                "reversal index, difference {}",
            ),
            ("H5",),
        ),
        "emergence": Story(_emergence, strongest=largest_effect),
        "importance": Story(
            _one(
                "H6",
                "Tokens that the reversed ranking keeps are those that matter inside the language "
                "model more often than chance: overlap beyond chance {}",
                "Tokens that the reversed ranking keeps are not those that matter inside the "
                "language model more often than chance: overlap beyond chance {}",
                "Whether the tokens that the reversed ranking keeps are those that matter inside "
                "the language model is open: overlap beyond chance {}",
            ),
            ("H6",),
        ),
        "faithfulness": Story(
            _one(
                "F.insertion",
                "Tokens in the reversed order bring the prediction back sooner than chance: area "
                "{}",
                "Tokens in the reversed order bring the prediction back no sooner than chance: "
                "area {}",
                "Whether tokens in the reversed order bring the prediction back sooner than "
                "chance is open: area {}",
            ),
            ("F.insertion",),
        ),
        "sweep": Story(
            _sweep,
            ("random@",),
            subject="masks",
            scores=MethodScores("ciou", "cIoU", "scores", "comparisons"),
            explorable=True,
        ),
        "ablations": Story(_ablations, ("official.random", "H7")),
        "quantisation": Story(_quantisation),
    }
)
"""Stories of the studies that have a sentence of their own."""


def story_of(study: str) -> Story:
    """The story of a study; without an entry of its own, its first claim."""
    return STORIES.get(study, Story())


def common_question(studies: Iterable[str]) -> str:
    """What several studies ask together."""
    if {"ranking", "masks"} <= {story_of(study).subject for study in studies}:
        return "Is the ranking reversed, and does pruning by it keep the mask?"
    return "What do these runs say about pruning visual tokens?"
