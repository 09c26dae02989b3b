"""What a study tells in a plain sentence, and which claim stands behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.messages.reasons import undetermined_reason

Claims = Mapping[str, Claim]
"""Claims of a finished run by id."""


def no_sentence(claims: Claims) -> str:
    """The sentence of a study that has none of its own."""
    return ""


def no_lead(claims: Claims) -> Claim | None:
    """The lead of a study whose leads are named by their ids."""
    return None


@dataclass(frozen=True)
class MethodScores:
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
        seconds: How long it takes in `make study` on two cores. Only ratios are used: they say how
            much of the work of several studies one of them is.
    """

    sentence: Callable[[Claims], str] = no_sentence
    leads: tuple[str, ...] = ()
    strongest: Callable[[Claims], Claim | None] = no_lead
    subject: str = ""
    scores: MethodScores | None = None
    explorable: bool = False
    seconds: int = 50


def shown(claim: Claim) -> str:
    """The number of a claim with its widest interval, which the verdict follows."""
    return f"{number(claim.estimate)} {interval(*claim.widest)}"


def by_verdict(claim: Claim, yes: str, no: str, open_: str) -> str:
    """The sentence of a claim's verdict, with its number and, if it is open, reason and power."""
    sentences = {"supported": yes, "not supported": no, "undetermined": open_}
    told = sentences[claim.verdict].format(shown(claim))
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power))) + "."


def capital(text: str) -> str:
    """A sentence's beginning."""
    return text[:1].upper() + text[1:]
