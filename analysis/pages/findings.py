"""What a run found in one plain sentence with one number, and what is missing from several runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.runs.told.reasons import undetermined_reason
from litelvlm.analysis.runs.verdicts import HYPOTHESES
from litelvlm.analysis.studies.reversal.rows import SUBSTITUTES

Claims = Mapping[str, Claim]


def finding(summary: Summary) -> str:
    """The main result of a finished run: one sentence, one number with its interval.

    A study without a sentence of its own is told by its first claim.
    """
    claims = {claim.id: claim for claim in summary.claims}
    told = _SENTENCES[summary.study](claims) if summary.study in _SENTENCES else ""
    return told or _first(summary)


def found_lines(folders: Sequence[Path]) -> list[str]:
    """One line per finished run: its study and what it found."""
    records = {folder: read_record(folder) for folder in folders}
    width = max((len(record.study) for record in records.values()), default=0)
    return [
        f"{record.study:<{width}}  {finding(read_summary(folder))}"
        for folder, record in records.items()
        if record.complete
    ]


def missing_lines(records: Sequence[RunRecord], tested: set[str]) -> list[str]:
    """What keeps runs from being the whole answer, in a few sentences; none if nothing does.

    Args:
        records: Of the runs.
        tested: Ids of the claims that they hold.
    """
    found = []
    unfinished = [record.study for record in records if not record.complete]
    if unfinished:
        found.append(
            f"parts of {', '.join(unfinished)} are missing; the same command goes on from there"
        )
    limits = {record.limit for record in records} - {None}
    if limits:
        found.append(
            f"only the first {max(filter(None, limits))} images were read (--limit); this is a "
            "sample, not the result"
        )
    failed = sum(record.counts.failed for record in records)
    if failed:
        found.append(f"{failed} samples failed; `litelvlm show -v` names each")
    untested = [id for id in HYPOTHESES if id not in tested]
    if untested and len(records) > 1:
        found.append(
            f"{', '.join(untested)} of the eight hypotheses were not tested; `litelvlm study all` "
            "asks the other studies too"
        )
    return found


def shown(claim: Claim) -> str:
    """The number of a claim with its widest interval, which the verdict follows."""
    return f"{number(claim.estimate)} {interval(*claim.widest)}"


def by_verdict(claim: Claim, yes: str, no: str, open_: str) -> str:
    """The sentence of a claim's verdict, with its number and, if it is open, reason and power."""
    sentences = {"supported": yes, "not supported": no, "undetermined": open_}
    told = sentences[claim.verdict].format(shown(claim))
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power))) + "."


def _first(summary: Summary) -> str:
    if not summary.claims:
        return summary.interpretation or "Nothing was claimed; see its tables."
    claim = summary.claims[0]
    statement = claim.statement.rstrip(".")
    words = {"supported": "Shown", "not supported": "Not so", "undetermined": "Open"}
    told = f"{words[claim.verdict]}: {statement} ({shown(claim)})"
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power))) + "."


def capital(text: str) -> str:
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


def _sink(claims: Claims) -> str:
    if "H4" not in claims:
        return ""
    return by_verdict(
        claims["H4"],
        "There is a sink: [EOS] gives [SOS] {} times the attention of uniform attention",
        "There is no sink: [EOS] gives [SOS] {} times the attention of uniform attention",
        "Whether there is a sink is open: [EOS] gives [SOS] {} times the uniform attention",
    )


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


def _importance(claims: Claims) -> str:
    if "H6" not in claims:
        return ""
    return by_verdict(
        claims["H6"],
        "Tokens that the reversed ranking keeps are those that matter inside the language model "
        "more often than chance: overlap beyond chance {}",
        "Tokens that the reversed ranking keeps are no more than by chance those that matter "
        "inside the language model: overlap beyond chance {}",
        "Whether the tokens that the reversed ranking keeps are those that matter inside the "
        "language model is open: overlap beyond chance {}",
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
        return by_verdict(
            claims["H7"],
            f"{PAPER} leads its best rival by more than 5 %: lead {{}}",
            f"{PAPER} does not lead its best rival by 5 %: lead {{}}",
            f"Whether {PAPER} leads its best rival by 5 % is open: lead {{}}",
        )
    return ""


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
    return [c for id, c in claims.items() if id.count(".") == 2 and not id.startswith("base.")]


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


_SENTENCES: Mapping[str, Callable[[Claims], str]] = MappingProxyType(
    {
        "reversal": _reversal,
        "sink": _sink,
        "sink_causal": _sink_causal,
        "importance": _importance,
        "sweep": _sweep,
        "ablations": _ablations,
        "mechanism": _mechanism,
        "emergence": _emergence,
        "faithfulness": _faithfulness,
        "quantisation": _quantisation,
    }
)
"""A study with a sentence of its own; it gives "" where the claims that it needs are missing."""
