"""Claims of the reversal study: H1 to H3 and the nulls."""

from collections.abc import Mapping, Sequence

import pandas as pd

from litelvlm.analysis.inputs.labels import HIDDEN
from litelvlm.analysis.runs.claims import Claim, joint_claim
from litelvlm.analysis.runs.formatting import counted
from litelvlm.analysis.runs.means import mean_claim, nothing_claim
from litelvlm.analysis.stats.ends import DIFFERENCE, INDEX
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.constructions import SUBSTITUTES, Construction, select
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.tables import UNLABELLED, control_ri, primary_of, unlabelled

SCOPE = "targets at least half visible"
# Why an expression is missing from a claim that needs a control.
_LACKING = {
    "H1.centre": "no mask of another image",
    "H2": "no text of another image and category",
    "H2.random": "no text of another image and category",
    "N8": "no text of another image and category",
    "H3": "no other object of the category that can be labelled",
    "H3.other": "no object of another category that can be labelled",
}
_REACH = {"H1.sign": INDEX, "N4": INDEX, "H2.random": (2 * DIFFERENCE[0], 2 * DIFFERENCE[1])}
"""Where values end that are not the difference of two indices."""
_UNSTATED = dict.fromkeys(("H2", "H2.random", "N8"), "no text of another image") | {
    "H3.other": "no other object that can be labelled"
}
"""The same where the data state no categories."""
# Foreign texts and objects, and the null of the latter, by whether the data state categories.
_COMPARED = {
    True: (
        "texts of other images and categories",
        "an object of another category in the image",
        "objects of other categories are reversed alike",
    ),
    False: (
        "texts of other images (the data state no categories)",
        "another object of the image (the data state no categories)",
        "other objects are reversed alike",
    ),
}


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Claims H1 to H3 on targets that are at least half visible, for each CLIP model.

    Returns:
        H1's two parts, H1, H2, H2 against random weights, H3, the same with objects of other
        categories, and the nulls N4 and N8; a claim whose control exists for no expression is left
        out. Each counts the expressions it could not use, by reason. Ids of claims about another
        CLIP model end in "@" and that name.
    """
    claims = []
    for clip in sorted(rows["clip_model"].unique()):
        chosen, missing = rows[rows["clip_model"] == clip], unlabelled(rows, clip)
        found = _claims_of(chosen, missing, config.margin, primary_of(clip))
        suffix = f"@{clip}" if clip else ""
        claims += [claim.model_copy(update={"id": f"{claim.id}{suffix}"}) for claim in found]
    return claims


def _claims_of(
    rows: pd.DataFrame, n_unlabelled: int, margin: float, key: Construction
) -> list[Claim]:
    """Claims from the rows of one CLIP model or substitute."""
    true = select(rows, key)
    if true.empty:
        return []
    hidden = len(select(rows, key, min_visible=0.0)) - len(true)
    stated = bool((true["category_id"] >= 0).any())
    lacking = _LACKING if stated else _LACKING | _UNSTATED
    texts, objects, alike = _COMPARED[stated]
    few = rows[rows["layer"] == key[1]]
    ri, (mask, text, moved, same, other) = (
        true["ri"],
        (
            control_ri(few, name, key)
            for name in (
                "other_masks",
                "other_text",
                "moved_mask",
                "same_category_object",
                "other_category_object",
            )
        ),
    )
    random, random_foreign = (
        select(few, (*key[:3], mode), "random_weights")["ri"] for mode in ("template", "shuffled")
    )
    # Each statement with the values that must lie above 0, and what 0 would mean.
    stronger = {
        "H1.sign": ("The referent's tokens rank low (RI > 0)", ri, "no reversal"),
        "H1.centre": (
            "They rank lower than masks of similar size taken from other images",
            ri - mask,
            "what the centre gives",
        ),
        "H2": (
            f"The reversal is stronger with the true text than with {texts}",
            ri - text,
            "any text would do",
        ),
        "H2.random": (
            "The true text strengthens the reversal more than it does under random weights",
            ri - text - (random - random_foreign),
            "as under random weights",
        ),
        "H3": (
            "The reversal is stronger on the referent than on another object of its category "
            "in the image",
            ri - same,
            "any object of the category is reversed alike",
        ),
        "H3.other": (f"It is stronger on the referent than on {objects}", ri - other, alike),
    }
    # What must be nothing, shown to be within the margin.
    nothing = {
        "N4": ("The mask moved round the grid has no reversal", moved, "no place is special"),
        "N8": (
            "Under random weights the text changes no reversal",
            random - random_foreign,
            "random weights read no text",
        ),
    }
    claims = {}
    for id, (statement, values, null) in (stronger | nothing).items():
        # Rankings that are equal must differ by exactly 0, whatever rounding the averages over
        # draws left.
        known = values.reindex(true.index).dropna().astype(float).round(12)
        if known.empty:
            continue
        missing = {lacking.get(id, ""): len(true) - len(known)}
        make = mean_claim if id in stronger else nothing_claim
        claims[id] = make(
            id,
            f"{statement}; {SCOPE}.",
            known,
            true.loc[known.index],
            null,
            margin=margin,
            reach=_REACH.get(id, DIFFERENCE),
            excluded={HIDDEN: hidden, UNLABELLED: n_unlabelled} | missing,
        )
        if id == "H1.centre":
            statement = (
                "The similarity is reversed on the referent, beyond what its place in the image "
                f"explains; {SCOPE}."
            )
            claims["H1"] = joint_claim("H1", statement, list(claims.values()))
    return list(claims.values())


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together.

    A reversal counts as a background preference only if it is shown to need neither the true text
    (H2) nor the referent (H3). A reversal that is *weaker* with the true text does depend on the
    text. A claim that is missing is as open as one that is undetermined. Where no towers of CLIP
    rank the tokens, the first substitute for them speaks.
    """
    ranker = "" if any("@" not in claim.id for claim in claims) else next(iter(SUBSTITUTES))
    by_id = {
        id: claim for claim in claims for id, _, name in [claim.id.partition("@")] if name == ranker
    }
    first, text, target = (
        by_id[id].verdict if id in by_id else "undetermined" for id in ("H1", "H2", "H3")
    )
    # On the other side of the null, which two one-sided tests do not place within the margin of it.
    weaker = {
        id
        for id in _WEAKER
        if id in by_id and by_id[id].verdict == "not supported" and not by_id[id].equivalent
    }
    if first != "supported" and "H1.sign" in by_id and by_id["H1.sign"].verdict == "supported":
        found = (
            "The referent's tokens rank low; that they do so beyond what their place explains "
            f"is {first} here."
        )
    elif first != "supported":
        found = f"A reversal of similarity on the referent is {first} here."
    elif text == target == "not supported" and "H2" not in weaker:
        found = (
            "The ranking shows a text-independent background preference: RI > 0, but no more with "
            "the true text than with others (H2), and no more on the referent than on another "
            "object of its category (H3)."
        )
    else:
        dependence = {
            "H2": _DEPENDENCE[text].format("text"),
            "H3": _DEPENDENCE[target].format("object"),
        }
        dependence |= {id: _WEAKER[id] for id in weaker}
        found = (
            f"The similarity is reversed on the referent: {dependence['H2']}; {dependence['H3']}."
        )
    if ranker:
        found = f"By {ranker.replace('_', ' ')}, in place of CLIP's similarity: {found}"
    same = [id for id in ("H2", "H3") if id in by_id and by_id[id].equivalent]
    if first == "supported" and same:
        small = "; ".join(f"{id} is {by_id[id].equivalence}" for id in same)
        found += f" Too small to count: {small}."
    seen = [id for id, claim in by_id.items() if id in HYPOTHESES and claim.seen_only]
    if seen:
        found += (
            f" Among the categories seen here the interval of {', '.join(seen)} clears the null; "
            "for other categories it is open, since categories differ."
        )
    named = [(claim, *claim.id.partition("@")[::2]) for claim in claims]
    others = {
        "Other CLIP models": [
            claim for claim, _, name in named if name and name not in SUBSTITUTES
        ],
        "Substitutes for CLIP": [
            claim
            for claim, id, name in named
            if name in SUBSTITUTES and name != ranker and id in ("H1", "H2", "H3")
        ],
    }
    for kind, told in others.items():
        if told:
            found += f" {kind}: {'; '.join(f'{claim.id} {claim.verdict}' for claim in told)}."
    excluded = {
        reason: n
        for id, claim in by_id.items()
        if id in HYPOTHESES
        for reason, n in claim.excluded.items()
    }
    return f"{found} Expressions excluded: {counted(excluded)}." if excluded else found


# By the verdict of H2 (text) or H3 (object), given H1.
_DEPENDENCE = {
    "supported": "it depends on the {}",
    "not supported": "it does not depend on the {}",
    "undetermined": "whether it depends on the {} cannot be told",
}


_WEAKER = {
    "H2": "it is weaker with the true text than with others",
    "H3": "it is weaker on the referent than on another object of its category",
}
