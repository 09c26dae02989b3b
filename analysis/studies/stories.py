"""The finding of each study in a sentence, the claim behind it, and what pages need to know of it.

A study without a sentence of its own is told by the statement of its leading claim, and without an
entry in ``STORIES`` by its first claim.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.studies.constructions import SUBSTITUTES
from litelvlm.analysis.studies.importance.claims import SIGNALS_IN_WORDS

Claims = Mapping[str, Claim]
"""Claims of a finished run by id."""
VERDICTS = ("supported", "not supported", "undetermined")


@dataclass(frozen=True)
class Story:
    """How pages and commands summarise a study.

    Attributes:
        leads: Ids of the claims that stand for it, the first that is there; an id that ends in "@"
            stands for every budget.
        strongest: Chooses the claim where no id does.
        sentence: Its main result in one sentence with one number; "" where the claims that it needs
            are missing, or its leading claim says it all.
        scores: Whether its tables "scores" and "comparisons" hold scores of methods by budget, of
            which pages show the main one.
        explorable: Whether the explorer shows its rows.
    """

    leads: tuple[str, ...] = ()
    strongest: Callable[[Claims], Claim | None] = lambda claims: None
    sentence: Callable[[Claims], str] = lambda claims: ""
    scores: bool = False
    explorable: bool = False


def shown(claim: Claim) -> str:
    """The number of a claim with its widest interval, which the verdict follows."""
    return f"{number(claim.estimate)} {interval(*claim.widest)}"


def by_verdict(claim: Claim, *sentences: str) -> str:
    """The sentence of a claim's verdict with its number and, if it is open, reason and power.

    Args:
        claim: What is told.
        sentences: For each of ``VERDICTS``; its number takes the place of {}.
    """
    told = sentences[VERDICTS.index(claim.verdict)].format(shown(claim))
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power))) + "."


def told(study: str, claims: Sequence[Claim]) -> str:
    """The main result of a study in one sentence; empty if nothing was claimed."""
    claim = leading(study, claims)
    if claim is None:
        return ""
    sentence = story_of(study).sentence({claim.id: claim for claim in claims})
    statement = claim.statement.rstrip(".").replace("{", "{{").replace("}", "}}")
    # The first word, unless it is a name such as CLIP, GLaMM or H1, begins small.
    if statement[1:2] == " " or statement[1:].partition(" ")[0].islower():
        statement = statement[:1].lower() + statement[1:]
    by_word = [f"{word}: {statement}: {{}}" for word in ("Shown", "Not so", "Open")]
    return sentence or by_verdict(claim, *by_word)


def leading(study: str, claims: Sequence[Claim]) -> Claim | None:
    """The claim that the sentence of a study tells; None if nothing was claimed.

    Of several budgets it is the first that is settled, an effect before its lack.
    """
    story = story_of(study)
    for lead in story.leads:
        found = [c for c in claims if c.id == lead or (lead[-1] == "@" and c.id.startswith(lead))]
        if found:
            return min(found, key=lambda claim: VERDICTS.index(claim.verdict))
    strongest = story.strongest({claim.id: claim for claim in claims})
    return strongest or next(iter(claims), None)


def _reversal(claims: Claims) -> str:
    who = "CLIP"
    if "H1" not in claims:
        # Without towers of CLIP the first substitute for its similarity is told.
        name = next(iter(SUBSTITUTES))
        found = {id.partition("@")[0]: claims[id] for id in claims if id.endswith(f"@{name}")}
        claims, who = found, f"the substitute {name}"
    if "H1" not in claims or "H1.sign" not in claims:
        return ""
    beyond = (
        "and lower than its place explains",
        "but no lower than its place explains",
        "but whether its place explains this is open",
    )[VERDICTS.index(claims["H1"].verdict)]
    text = ("; texts about other images do so less", "; other texts do the same", "")[
        VERDICTS.index(claims["H2"].verdict if "H2" in claims else "undetermined")
    ]
    begin = who[:1].upper() + who[1:]
    return by_verdict(
        claims["H1.sign"],
        f"{begin} ranks the named object's tokens low, {beyond}{text}: reversal index {{}}",
        f"{begin}'s ranking is not reversed on the named object: reversal index {{}}",
        f"Whether {who} ranks the named object's tokens low is open: reversal index {{}}",
    )


def _mechanism(claims: Claims) -> str:
    turned, forward = claims.get("readout.turns"), claims.get("value.forward")
    if turned is not None and forward is not None and turned.verdict == "supported":
        where = ", so that the named object's tokens rank high" * (forward.verdict == "supported")
        reads = {
            "supported": " That readout follows the text more than the released one does.",
            "not supported": " It follows the text no more than the released one does.",
        }
        more = claims.get("value.reads_more")
        return (
            "The same CLIP and text, read through the values of the last block instead of the "
            f"layer that is pruned, turn the ranking{where}: the reversal index falls by "
            f"{shown(turned)}.{reads.get(more.verdict, '') if more is not None else ''}"
        )
    probes = [claim for id, claim in claims.items() if "." not in id.partition("@")[0]]
    removed = [claim for claim in probes if claim.verdict == "supported"]
    if not removed:
        return ""
    most = max(removed, key=lambda claim: claim.estimate)
    return (
        f"Part of the reversal goes away under {len(removed)} of {len(probes)} probes; most under "
        f"{most.id}, where the reversal index falls by {shown(most)}."
    )


def _largest_effect(claims: Claims) -> Claim | None:
    """Of the conditions of training that are shown to matter, the one that matters most."""
    found = [claim for claim in _settled(claims) if claim.verdict == "supported"]
    return max(found, key=lambda claim: abs(claim.estimate), default=None)


def _settled(claims: Claims) -> list[Claim]:
    return [claim for id, claim in claims.items() if id.startswith(("A.sink.", "B.reversal."))]


def _emergence(claims: Claims) -> str:
    settled, most = _settled(claims), _largest_effect(claims)
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


def _importance(claims: Claims) -> str:
    parts = [claims[id] for id in SIGNALS_IN_WORDS if id in claims]
    if "H6" not in claims or len(parts) < len(SIGNALS_IN_WORDS):
        return ""
    weaker = min(parts, key=lambda part: part.id not in claims["H6"].null_description)
    other = parts[1 - parts.index(weaker)]
    masks = [claims.get(f"{part.id}.mask") for part in (weaker, other)]
    beside = [f" (tokens of the true mask {number(m.estimate)})" if m else "" for m in masks]
    weak, strong = (SIGNALS_IN_WORDS[part.id] for part in (weaker, other))
    return by_verdict(
        claims["H6"],
        *(
            f"{begin}: overlap beyond chance {{}} with the first by {weak}{beside[0]}, and "
            f"{number(other.estimate)} by {strong}{beside[1]}"
            for begin in (
                "The kept tokens are those that matter inside the language model more often than "
                "random ones are",
                "The kept tokens are not those that matter inside the language model",
                "Whether the kept tokens are those that matter inside the language model is open",
            )
        ),
    )


def _sweep(claims: Claims) -> str:
    budgets = [id.removeprefix("random@") for id in claims if id.startswith("random@")]
    lead = leading("sweep", list(claims.values()))
    if not budgets or lead is None or lead.verdict == "undetermined":
        return ""
    label, released = lead.null_description.partition(" of ")[0], _against_random(claims, "random@")
    others = {name: _against_random(claims, prefix) for name, prefix in _OTHER_RULES.items()}
    return (
        f"With {', '.join(budgets)} tokens to keep, {PAPER} {released}: difference in {label} "
        f"{shown(lead)} at {lead.id.removeprefix('random@')}."
        + "".join(f" {name} {result}." for name, result in others.items() if result)
    )


_OTHER_RULES = {
    f"The paper's own rule, {PAPER_RULE},": "rule.random@",
    "The same text without the reversal, value_path,": "value.random@",
    "A third of it with an even grid, value_path_grid,": "grid.random@",
}


def _against_random(claims: Claims, prefix: str) -> str:
    """At which budgets a method beats random tokens; empty if it was not run."""
    words = ("beats random tokens at", "does not beat random tokens at", "is open at")
    by_budget = {
        id.removeprefix(prefix): claim.verdict
        for id, claim in claims.items()
        if id.startswith(prefix)
    }
    parts = [
        f"{word} {', '.join(budgets)}"
        for verdict, word in zip(VERDICTS, words, strict=True)
        if (budgets := [budget for budget, found in by_budget.items() if found == verdict])
    ]
    return " and ".join(parts)


def _costliest(claims: Claims) -> Claim | None:
    """The interaction to tell of: an effect first, then what is open, then what was ruled out."""
    telling = ("supported", "undetermined", "not supported")
    means = [c for id, c in claims.items() if id.startswith("interaction.") and "@" not in id]
    return min(means, key=lambda c: (telling.index(c.verdict), -c.estimate), default=None)


STORIES: Mapping[str, Story] = MappingProxyType(
    {
        "reversal": Story(("H1.sign",), sentence=_reversal),
        "mechanism": Story(("readout.turns",), sentence=_mechanism),
        "sink": Story(("H4",)),
        "sink_causal": Story(("H5",)),
        "emergence": Story(strongest=_largest_effect, sentence=_emergence),
        "importance": Story(("H6",), sentence=_importance),
        "faithfulness": Story(("F.insertion",)),
        "sweep": Story(
            ("random@",),
            sentence=_sweep,
            scores=True,
            explorable=True,
        ),
        "ablations": Story(("official.random", "H7")),
        "video": Story(("V3.random@", "V3.keeps@")),
        "quantisation": Story(strongest=_costliest),
    }
)
"""Stories of the studies that are not told by their first claim."""


def story_of(study: str) -> Story:
    """The story of a study; without an entry of its own, its first claim."""
    return STORIES.get(study, Story())


def common_question(studies: Iterable[str]) -> str:
    """What several studies ask together."""
    if {"reversal", "sweep"} <= set(studies):
        return "Is the ranking reversed, and does pruning by it keep the mask?"
    return "What do these runs say about pruning visual tokens?"
