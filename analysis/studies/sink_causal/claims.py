"""Claims of the causal sink study: H5 and its parts.

Signed changes cancel: an intervention that raises the index of one expression and lowers that of
another moves the mean by nothing. So the claims rest on the size of the change in each expression.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.picked import primary
from litelvlm.analysis.runs.claims import Claim, joint_claim
from litelvlm.analysis.runs.means import mean_claim
from litelvlm.analysis.stats.ends import DIFFERENCE
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.tables import (
    INDEX,
    KEPT,
    PARTS,
    TEXT,
    difference,
    sized,
    whole_by_name,
)

DECIMALS = 6  # embeddings are float32


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Claim H5, its two parts, and the same parts by kept tokens and by the text embedding.

    On targets that are at least half visible; the others are counted.
    """
    measures = {
        "": (INDEX, "changes the reversal index of an expression", config.margin),
        ".kept": (KEPT, "exchanges kept tokens", config.margin_kept),
        ".text": (TEXT, "turns the text embedding", config.margin_text),
    }
    visible, excluded = primary(rows)
    by_name = whole_by_name(sized(visible))
    if not set(by_name) >= {
        name for part in PARTS.values() for name in (part.change, part.control)
    }:
        return []
    claims = {}
    for suffix, (measure, words, margin) in measures.items():
        for id, part in PARTS.items():
            claim = mean_claim(
                id + suffix,
                f"{part.done} {words} more than {part.control_done}; targets at least half "
                "visible.",
                difference(by_name, part, measure).astype(np.float64).round(DECIMALS),
                by_name[part.change],
                f"as much as {part.control_done}; differences below {margin:g} count as none",
                margin=margin,
                excluded=excluded,
                reach=DIFFERENCE,
            )
            # Equivalence refutes the claim, even where its interval lies above 0.
            refuted = {"verdict": "not supported"} if claim.equivalent else {}
            claims[claim.id] = claim.model_copy(update=refuted)
    statement = (
        "Taking the attention on [SOS] away changes the reversal of single expressions more than "
        "taking that on a content token away, both ways of taking it."
    )
    return [*claims.values(), joint_claim("H5", statement, [claims[id] for id in PARTS])]


def interpret(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> str:
    """What the verdicts mean together."""
    by_id = {claim.id: claim for claim in claims}
    if "H5" not in by_id:
        return "Whether the attention on [SOS] bears on the reversal cannot be told here."
    verdict = by_id["H5"].verdict
    more = [id for id in PARTS if by_id[id].verdict == "supported"]
    less = [id for id in PARTS if by_id[id].widest[1] < 0]
    if verdict == "supported":
        text = (
            "The attention on [SOS] bears on the reversal: without it the index of single "
            "expressions changes more than without a content token."
        )
    elif more:
        text = (
            "The attention on [SOS] bears on the reversal in part at most: only "
            f"{' and '.join(more)} shows a larger change than its control."
        )
    elif verdict == "undetermined":
        text = "Whether the attention on [SOS] bears on the reversal cannot be told here."
    elif len(less) == len(PARTS):
        text = (
            "The attention on [SOS] bears on the reversal less than that on a content token: both "
            "ways of taking it change the index of single expressions less."
        )
    else:
        text = (
            "The attention on [SOS] does not explain the reversal: without it the index of single "
            "expressions changes no more than without a content token."
        )
    return text + _sizes(tables.get("effects", pd.DataFrame()))


def _sizes(effects: pd.DataFrame) -> str:
    """The mean size of each change beside that of its control, in one sentence."""
    if effects.empty:
        return ""
    whole = effects[effects["layer_set"] == "all"].set_index(["intervention", "measure"])["mean"]
    part = PARTS["H5.mask"]
    words = {
        INDEX: "change of the index",
        KEPT: "kept tokens exchanged",
        TEXT: "turn of the text embedding",
    }
    pairs = [
        f"{name} {whole[part.change, measure]:.3f} against {whole[part.control, measure]:.3f}"
        for measure, name in words.items()
        if (part.change, measure) in whole.index and (part.control, measure) in whole.index
    ]
    return f" Hiding [SOS] against hiding a content token: {', '.join(pairs)}." if pairs else ""
